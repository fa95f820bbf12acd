"""A storage in an S3 bucket or a compatible store's.

Reads and uploads retry by themselves; the other methods are single tries, to be wrapped in
`ResilientStorage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from covetbackup.core.errors import (
    BadSetting,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    UploadLost,
)
from covetbackup.core.storage.base import MARKER, ObjectInfo, check_name
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3_connection import S3Connection
from covetbackup.core.storage.s3_read import read_object
from covetbackup.core.storage.s3_settings import S3Settings
from covetbackup.core.storage.s3_upload import S3Upload
from covetbackup.core.stream.base import Sink, Source


class S3Storage:
    """A storage of the objects of `settings.bucket` under `settings.prefix`.

    Memory: 32 MiB of parts for each sink; with boto3's own, a 256 MiB upload raised the process by
    49 MiB. After a crash an upload in parts stays with the store, unseen by `list`, until a
    `cleanup`. Multipart upload: Amazon S3 User Guide, "Uploading and copying objects using
    multipart upload".
    """

    def __init__(self, settings: S3Settings, retry: Retry | None = None) -> None:
        self._settings = settings
        self._connection = S3Connection(settings)
        self._retry = retry or Retry()
        self._has_marker = False

    def create(self, name: str) -> Sink:
        check_name(name)
        if name != MARKER:
            self._require_marker(name)
        if self._exists(name):
            raise ObjectExists(f"{name} already exists in {self._settings.place}")
        return S3Upload(self._connection, name, self._retry)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        check_name(name)
        return read_object(self._connection, name, offset=offset, length=length, retry=self._retry)

    def stat(self, name: str) -> ObjectInfo:
        head = self._connection.call("head_object", name, Key=self._key(name))
        return ObjectInfo(name, head["ContentLength"], head["LastModified"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        key_prefix = self._settings.key(prefix)
        for entry in self._pages("list_objects_v2", "Contents", Prefix=key_prefix):
            name = self._settings.name(entry["Key"])
            if _is_name(name):
                yield ObjectInfo(name, entry["Size"], entry["LastModified"])

    def delete(self, name: str) -> None:
        try:
            self._connection.call("delete_object", name, Key=self._key(name))
        except ObjectNotFound:
            pass  # Amazon says 204, some stores 404

    def cleanup(self, before: datetime, prefix: str = "") -> Sequence[str]:
        # Listed to the end first: aborting while paging would move the pages.
        stale = [upload for upload in self._uploads(prefix) if upload["Initiated"] < before]
        return sorted(name for upload in stale if (name := self._abort_stale(upload)))

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        key_prefix = self._settings.key(prefix)
        try:
            yield from self._pages("list_multipart_uploads", "Uploads", Prefix=key_prefix)
        except UploadLost:
            return  # rclone says NoSuchUpload when a bucket has none

    def _abort_stale(self, upload: dict[str, Any]) -> str:
        """The name of the upload that was aborted; empty if it is not ours or was gone."""
        name = self._settings.name(upload["Key"])
        if not _is_name(name):
            return ""
        try:
            self._connection.call(
                "abort_multipart_upload", name, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        except UploadLost:
            return ""
        return name

    def _pages(self, operation: str, member: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        following = {
            "ContinuationToken": "NextContinuationToken",
            "KeyMarker": "NextKeyMarker",
            "UploadIdMarker": "NextUploadIdMarker",
        }
        page: dict[str, Any] = {"IsTruncated": True}
        position: dict[str, Any] = {}
        while page.get("IsTruncated"):
            page = self._connection.call(operation, "the listing", **parameters, **position)
            yield from page.get(member, ())
            position = {key: page[new] for key, new in following.items() if page.get(new)}
            if page.get("IsTruncated") and not position:
                raise StorageError(f"{self._settings.place} cut its listing short")

    def _require_marker(self, name: str) -> None:
        if self._has_marker:
            return
        if not self._exists(MARKER):
            raise BadSetting(
                f"{name} is not written: {self._settings.place} has no {MARKER} under "
                f"prefix {self._settings.prefix!r}",
                hint="is the prefix right? a new place must be initialised first",
            )
        self._has_marker = True

    def _exists(self, name: str) -> bool:
        try:
            self._retry(lambda: self.stat(name))
        except ObjectNotFound:
            return False
        return True

    def _key(self, name: str) -> str:
        return self._settings.key(check_name(name))


def _is_name(name: str) -> bool:
    """Whether an object may be ours: buckets also hold other programs' keys."""
    try:
        check_name(name)
    except BadSetting:
        return False
    return True
