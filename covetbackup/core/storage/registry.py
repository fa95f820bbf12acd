"""Storage URLs: which driver, with which settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from covetbackup.core.errors import BadSetting
from covetbackup.core.storage.base import Storage
from covetbackup.core.storage.local import LocalStorage
from covetbackup.core.storage.resilient import ResilientStorage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3_settings import (
    Addressing,
    S3Credentials,
    S3Settings,
    ServerSideEncryption,
    s3_credentials_from_file,
)

if TYPE_CHECKING:
    from covetbackup.core.storage.s3 import S3Storage

__all__ = ["S3Credentials", "open_storage", "s3_credentials_from_file"]

_Value = TypeVar("_Value")

_S3_OPTIONS = ("endpoint", "path_style", "region", "sse", "sse_key", "storage_class")
_ADDRESSING = {"": Addressing.AUTO, "0": Addressing.VIRTUAL, "1": Addressing.PATH}


def open_storage(
    url: str, credentials: S3Credentials | None = None, *, retry: Retry | None = None
) -> Storage:
    """Return the storage at `url`; nothing is contacted yet.

    `file:///absolute/path` or `s3://bucket/prefix?endpoint=https://…&region=…&storage_class=…
    &sse=aws:kms&sse_key=…&path_style=1`. `retry` is for stores that are reached over a network.
    Without `credentials` S3 uses boto3's default chain. Raises `BadSetting`, also for a URL that
    contains credentials.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadSetting("the storage URL cannot be read") from error
    if "@" in parts.netloc:
        raise BadSetting(
            f"a storage URL must not contain credentials ({parts.scheme}://…)",
            hint="put them into a file only its owner can read",
        )
    if parts.fragment:
        raise BadSetting(f"a {parts.scheme} storage URL takes no fragment (#)")
    if parts.scheme == "file":
        return _local(parts)
    if parts.scheme == "s3":
        retry = retry or Retry()
        return ResilientStorage(_s3(_s3_settings(parts, credentials), retry), retry)
    raise BadSetting(
        f"unknown storage scheme {parts.scheme!r}", hint="file:///path or s3://bucket/prefix"
    )


def shortcomings(storage: Storage) -> Sequence[str]:
    """Return a sentence for each thing that the file system of a local storage cannot do.

    None for storages of other kinds. Makes and removes a file there. Raises `StorageError`.
    """
    return storage.shortcomings() if isinstance(storage, LocalStorage) else []


def _local(parts: SplitResult) -> LocalStorage:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise BadSetting("a file storage URL has three slashes", hint="file:///absolute/path")
    if parts.query:
        raise BadSetting("a file storage URL takes no options (?)")
    path = unquote(parts.path)
    if "\0" in path:
        raise BadSetting("a path cannot contain a zero byte")
    return LocalStorage(Path(path))


def _s3(settings: S3Settings, retry: Retry) -> S3Storage:
    # Imported here: boto3 costs a third of a second that local storages need not pay.
    from covetbackup.core.storage.s3 import S3Storage

    return S3Storage(settings, retry)


def _s3_settings(parts: SplitResult, credentials: S3Credentials | None) -> S3Settings:
    options = _options(parts.query)
    return S3Settings(
        bucket=parts.netloc,
        prefix=unquote(parts.path).strip("/"),
        endpoint_url=options.get("endpoint", ""),
        region=options.get("region", ""),
        credentials=credentials,
        addressing=_chosen(_ADDRESSING, options, "path_style"),
        storage_class=options.get("storage_class", ""),
        encryption=_chosen({e.value: e for e in ServerSideEncryption}, options, "sse"),
        kms_key_id=options.get("sse_key", ""),
    )


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _S3_OPTIONS or key in options:
            raise BadSetting(
                f"storage URL option {key!r} is unknown or given twice",
                hint=f"s3 takes {', '.join(_S3_OPTIONS)}",
            )
        options[key] = value
    return options


def _chosen(choices: dict[str, _Value], options: dict[str, str], key: str) -> _Value:
    value = options.get(key, "")
    if value not in choices:
        known = ", ".join(choice for choice in choices if choice)
        raise BadSetting(f"storage URL option {key}={value!r} is unknown", hint=known)
    return choices[value]
