"""The sink of one S3 object: parts of 8 MiB, at most three in flight, published as a whole.

An object that fits one part is a single PUT. Every upload carries a random mark in the object's
metadata: after a lost answer it tells our own object from another writer's of that name.
"""

from __future__ import annotations

import hashlib
import io
import logging
import secrets
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from covetbackup.core.errors import (
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    UploadLost,
)
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3_connection import Feature, S3Connection
from covetbackup.core.storage.s3_proof import MARK, base64_of, confirms, confirms_parts, is_marked
from covetbackup.core.storage.s3_settings import S3Settings

logger = logging.getLogger(__name__)

PART_BYTES = 8 * 1024 * 1024
PARTS_IN_FLIGHT = 3  # with the one being filled: 32 MiB
PARTS_LIMIT = 10_000  # Amazon S3 User Guide, "multipart upload limits"

# The first error must not wait long behind a cleanup; what stays is for `cleanup`.
_CLEANUP_ATTEMPTS = 3

_ONLY_IF_NEW = {Feature.CONDITIONAL: {"IfNoneMatch": "*"}}


@dataclass(frozen=True, slots=True)
class _Part:
    number: int
    etag: str
    digest: bytes


class S3Upload:
    """The sink of one S3 object; each request is retried, so only a failed part is sent again.

    `commit` raises `ObjectExists` when the name is taken, `UploadLost` when the store dropped the
    upload, and `StorageError` when the store confirms other bytes than were sent. Where a store
    ignores `If-None-Match`, "taken" is a HEAD just before publishing: a writer that publishes in
    between is overwritten.
    """

    def __init__(self, connection: S3Connection, name: str, retry: Retry) -> None:
        self._connection = connection
        self._name = name
        self._retry = retry
        self._mark = secrets.token_hex(16)
        self._buffer = io.BytesIO()
        self._size = 0
        self._upload_id = ""
        self._may_have_twin = False
        self._pool = ThreadPoolExecutor(PARTS_IN_FLIGHT, thread_name_prefix="s3-part")
        self._in_flight: deque[Future[_Part]] = deque()
        self._parts: list[_Part] = []
        self._stop = Event()
        self._may_exist = False
        self._ended = False

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            room = PART_BYTES - self._buffer.tell()
            if not room:
                self._send_part()
                continue
            self._size += self._buffer.write(view[:room])
            view = view[room:]

    def commit(self) -> None:
        if self._upload_id:
            self._send_part()
            while self._in_flight:
                self._take_oldest()
        if self._head() is not None:
            raise ObjectExists(f"{self._name} already exists")
        self._may_exist = True
        try:
            self._publish()
        except (ObjectExists, UploadLost):
            # The store may have done it and the answer was lost.
            if not is_marked(self._head(), self._mark):
                raise
        self._verify()
        self._end()
        if self._may_have_twin:
            self._abort_twins()

    def abort(self) -> None:
        if self._ended:
            return
        self._stop.set()
        self._end()  # a part that lands after the store's abort would stay, so all end first
        try:
            self._undo()
        except StorageError as error:
            logger.warning("upload not removed, left to cleanup object=%s: %s", self._name, error)

    def _send_part(self) -> None:
        number = len(self._parts) + len(self._in_flight) + 1
        if number > PARTS_LIMIT:
            raise StorageError(
                f"{self._name} is longer than {PARTS_LIMIT} parts of {PART_BYTES} bytes",
                hint="use smaller volumes",
            )
        if not self._upload_id:
            self._begin()
        while len(self._in_flight) >= PARTS_IN_FLIGHT:
            self._take_oldest()
        self._in_flight.append(self._pool.submit(self._upload_part, number, self._buffer))
        self._buffer = io.BytesIO()

    def _begin(self) -> None:
        tries = 0

        def begin() -> dict[str, Any]:
            nonlocal tries
            tries += 1
            return self._once(
                "create_multipart_upload",
                optional={Feature.CHECKSUM: {"ChecksumAlgorithm": "SHA256"}},
                **_attributes(self._connection.settings, self._mark),
            )

        self._upload_id = self._retry(begin, stop=self._stop)["UploadId"]
        self._may_have_twin = tries > 1

    def _abort_twins(self) -> None:
        """End uploads that were begun for us though the answer was lost.

        Their ids are unknown and a listing shows no mark. But once the name is taken by our
        commit, no upload under it can succeed any more, by any writer; before, and so
        after an `abort`, it might be another writer's, and is left to cleanup.
        """
        key = self._connection.settings.key(self._name)
        try:
            answer = self._connection.call("list_multipart_uploads", self._name, Prefix=key)
            for upload in answer.get("Uploads", ()):
                if upload["Key"] == key:
                    self._request("abort_multipart_upload", UploadId=upload["UploadId"])
        except UploadLost:
            pass  # there is none: rclone says so of a bucket without uploads
        except StorageError as error:
            logger.warning("uploads not listed, left to cleanup object=%s: %s", self._name, error)

    def _take_oldest(self) -> None:
        self._parts.append(self._in_flight[0].result())
        self._in_flight.popleft()

    def _upload_part(self, number: int, body: io.BytesIO) -> _Part:
        digest = hashlib.sha256(body.getbuffer()).digest()

        def send() -> dict[str, Any]:
            return self._request(
                "upload_part",
                optional={Feature.CHECKSUM: {"ChecksumSHA256": base64_of(digest)}},
                UploadId=self._upload_id,
                PartNumber=number,
                Body=body,
            )

        answer = send()
        if not confirms(answer, body, digest):
            answer = send()  # once more under the same number: the last one counts
        if not confirms(answer, body, digest):
            raise self._corrupting()
        return _Part(number, answer["ETag"], digest)

    def _publish(self) -> None:
        if self._upload_id:
            self._complete()
        elif not self._put():
            self._delete()
            if not self._put():
                self._delete()
                raise self._corrupting()

    def _put(self) -> bool:
        """Send the object in one request; return whether the store confirms the bytes it got."""
        digest = hashlib.sha256(self._buffer.getbuffer()).digest()
        answer = self._request(
            "put_object",
            optional=_ONLY_IF_NEW | {Feature.CHECKSUM: {"ChecksumSHA256": base64_of(digest)}},
            passing=(UploadLost,),  # 409: unlike an upload in parts, a PUT can just be repeated
            Body=self._buffer,
            **_attributes(self._connection.settings, self._mark),
        )
        return confirms(answer, self._buffer, digest)

    def _complete(self) -> None:
        parts = [
            {"PartNumber": p.number, "ETag": p.etag, "ChecksumSHA256": base64_of(p.digest)}
            for p in self._parts
        ]
        answer = self._request(
            "complete_multipart_upload",
            optional=_ONLY_IF_NEW,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": parts},
        )
        if not confirms_parts(answer, [part.digest for part in self._parts]):
            self._delete()
            raise self._corrupting()

    def _verify(self) -> None:
        head = self._head()
        if head is None:
            raise StorageError(f"{self._name} is missing though the store confirmed it")
        if head["ContentLength"] != self._size:
            self._delete()
            raise self._corrupting()

    def _undo(self) -> None:
        self._stop = Event()
        attempts = min(self._retry.attempts, _CLEANUP_ATTEMPTS)
        self._retry = replace(self._retry, attempts=attempts)
        if self._upload_id:
            try:
                self._request("abort_multipart_upload", UploadId=self._upload_id)
            except UploadLost:
                pass  # gone already
        if self._may_exist and is_marked(self._head(), self._mark):
            self._delete()

    def _end(self) -> None:
        self._ended = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._in_flight.clear()
        self._buffer = io.BytesIO()

    def _head(self) -> dict[str, Any] | None:
        try:
            return self._request("head_object")
        except ObjectNotFound:
            return None

    def _delete(self) -> None:
        self._request("delete_object")

    def _request(
        self, operation: str, *, passing: tuple[type[StorageError], ...] = (), **parameters: Any
    ) -> dict[str, Any]:
        """Send one request, retried; `passing` errors are worth another try, too."""

        def send() -> dict[str, Any]:
            try:
                return self._once(operation, **parameters)
            except passing as error:
                raise StorageUnavailable(error.message, error.hint, error.details) from error

        return self._retry(send, stop=self._stop)

    def _once(self, operation: str, **parameters: Any) -> dict[str, Any]:
        key = self._connection.settings.key(self._name)
        return self._connection.call(operation, self._name, Key=key, **parameters)

    def _corrupting(self) -> StorageError:
        return StorageError(
            f"the storage corrupts data: {self._name} is not what was sent",
            hint="check the store's disks and any proxy in between; do not trust it with backups",
        )


def _attributes(settings: S3Settings, mark: str) -> dict[str, Any]:
    """Return the parameters of the new object: mark, storage class, encryption."""
    wanted = {
        "StorageClass": settings.storage_class,
        "ServerSideEncryption": settings.encryption.value,
        "SSEKMSKeyId": settings.kms_key_id,
    }
    return {"Metadata": {MARK: mark}} | {key: value for key, value in wanted.items() if value}
