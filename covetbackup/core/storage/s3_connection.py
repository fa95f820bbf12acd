"""One boto3 client: single requests with translated errors, renewed credentials, no retries.

Retrying is left to our own policy: boto3's would multiply it and cannot be interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from covetbackup.core.errors import AccessRefused
from covetbackup.core.storage.s3_answers import check_answer
from covetbackup.core.storage.s3_errors import NotSupported, storage_error
from covetbackup.core.storage.s3_settings import Addressing, S3Settings

_CONNECTIONS = 16  # a few sinks with three parts each, and readers


class Feature(StrEnum):
    """A feature that a compatible store may lack; used until it answers 501."""

    CONDITIONAL = "If-None-Match"
    CHECKSUM = "x-amz-checksum-sha256"


class S3Connection:
    """Requests to one store. Safe to use from several threads."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._lock = Lock()
        self._lacking: set[Feature] = set()
        with self.translate_errors("the connection"):
            self._client = _client(settings)

    @contextmanager
    def translate_errors(self, subject: str) -> Iterator[None]:
        """Turn boto3's errors about `subject` into the storage's own."""
        try:
            yield
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            raise storage_error(error, subject, self.settings.place) from error

    def call(
        self,
        operation: str,
        subject: str,
        *,
        optional: Mapping[Feature, Mapping[str, Any]] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Return the answer to one request about `subject`.

        `optional` parameters fall away one feature at a time when the store does not support them.
        """
        offered = dict(optional or {})
        while True:
            used = [feature for feature in offered if feature not in self._lacking]
            extra = {key: value for feature in used for key, value in offered[feature].items()}
            try:
                return self._authorised(operation, subject, {**parameters, **extra})
            except NotSupported:
                if not used:
                    raise
                self._lacking.add(used[0])

    def _authorised(
        self, operation: str, subject: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        client = self._client
        try:
            return self._send(client, operation, subject, parameters)
        except AccessRefused:
            if self.settings.credentials is not None:
                raise
        # Found by the default chain, they may have been replaced since: look once more.
        return self._send(self._renewed(client), operation, subject, parameters)

    def _send(
        self, client: Any, operation: str, subject: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        body = parameters.get("Body")
        if body is not None:
            body.seek(0)
        with self.translate_errors(subject):
            answer: dict[str, Any] = getattr(client, operation)(
                Bucket=self.settings.bucket, **parameters
            )
        check_answer(answer, operation, subject, self.settings.place)
        return answer

    def _renewed(self, refused: Any) -> Any:
        with self._lock, self.translate_errors("the connection"):
            if self._client is refused:  # else another thread was faster
                self._client = _client(self.settings)
            return self._client


def _client(settings: S3Settings) -> Any:
    credentials = settings.credentials
    session = boto3.session.Session(
        aws_access_key_id=credentials.access_key_id if credentials else None,
        aws_secret_access_key=credentials.secret_access_key if credentials else None,
        aws_session_token=(credentials.session_token or None) if credentials else None,
    )
    client = session.client(
        "s3",
        endpoint_url=settings.endpoint_url or None,
        region_name=settings.region or ("us-east-1" if settings.endpoint_url else None),
        config=_config(settings),
    )
    client.meta.events.register("before-call.s3.HeadBucket", _accept_redirect)
    return client


def _accept_redirect(context: dict[str, Any], **_: Any) -> None:
    """Let the redirect of a HEAD request for the bucket be its answer.

    botocore sends that request to find the region after a redirect; an endpoint that redirects
    every request would get another one for its answer, until Python's stack is full.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _config(settings: S3Settings) -> Config:
    addressing = settings.addressing
    if addressing is Addressing.AUTO and settings.endpoint_url:
        # Few private stores have a wildcard name in DNS; all understand the path.
        addressing = Addressing.PATH
    return Config(
        connect_timeout=settings.connect_seconds,
        read_timeout=settings.stall_seconds,
        max_pool_connections=_CONNECTIONS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # Since boto3 1.36 the default adds CRC trailers that several compatible stores reject.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": addressing.value},
    )
