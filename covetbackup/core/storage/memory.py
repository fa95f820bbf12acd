"""A storage in memory: the double for tests of everything above, held to the same suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock

from covetbackup.core.errors import BadSetting, ObjectExists, ObjectNotFound, Truncated, UploadLost
from covetbackup.core.storage.base import MARKER, ObjectInfo, check_name
from covetbackup.core.stream.base import Sink

_PIECE_BYTES = 256 * 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryStorage:
    """A storage of objects in a dictionary. `now` dates commits and uploads."""

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._lock = Lock()
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._uploads: dict[_Upload, datetime] = {}

    def create(self, name: str) -> Sink:
        check_name(name)
        with self._lock:
            if name != MARKER and MARKER not in self._objects:
                raise BadSetting(
                    f"{name} is not written: the storage has no {MARKER}",
                    hint="initialise the repository first",
                )
            self._refuse_taken(name)
            upload = _Upload(self, name)
            self._uploads[upload] = self._now()
        return upload

    @contextmanager
    def open(
        self, name: str, offset: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        data, _ = self._object(name)
        yield _pieces(name, data, offset, length)

    def stat(self, name: str) -> ObjectInfo:
        data, modified_at = self._object(name)
        return ObjectInfo(name, len(data), modified_at)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            found = sorted(self._objects.items())
        for name, (data, modified_at) in found:
            if name.startswith(prefix):
                yield ObjectInfo(name, len(data), modified_at)

    def delete(self, name: str) -> None:
        check_name(name)
        with self._lock:
            self._objects.pop(name, None)

    def cleanup(self, before: datetime, prefix: str = "") -> Sequence[str]:
        with self._lock:
            stale = [
                upload
                for upload, begun_at in self._uploads.items()
                if begun_at < before and upload.name.startswith(prefix)
            ]
            for upload in stale:
                del self._uploads[upload]
        return sorted(upload.name for upload in stale)

    def publish(self, upload: _Upload, data: bytes) -> None:
        """Make `data` the object of `upload`: its commit."""
        with self._lock:
            if upload not in self._uploads:
                raise UploadLost(f"the upload of {upload.name} was cleaned up")
            self._refuse_taken(upload.name)
            del self._uploads[upload]
            self._objects[upload.name] = (data, self._now())

    def forget(self, upload: _Upload) -> None:
        """Drop `upload`: its abort."""
        with self._lock:
            self._uploads.pop(upload, None)

    def _refuse_taken(self, name: str) -> None:
        if name in self._objects:
            raise ObjectExists(f"{name} already exists")

    def _object(self, name: str) -> tuple[bytes, datetime]:
        check_name(name)
        with self._lock:
            if name not in self._objects:
                raise ObjectNotFound(f"{name} does not exist")
            return self._objects[name]


class _Upload:
    def __init__(self, storage: MemoryStorage, name: str) -> None:
        self.name = name
        self._storage = storage
        self._data = bytearray()

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def commit(self) -> None:
        self._storage.publish(self, bytes(self._data))

    def abort(self) -> None:
        self._storage.forget(self)


def _pieces(name: str, data: bytes, offset: int, length: int | None) -> Iterator[bytes]:
    end = len(data) if length is None else offset + length
    for start in range(offset, min(end, len(data)), _PIECE_BYTES):
        yield data[start : min(start + _PIECE_BYTES, end)]
    if max(end, offset) > len(data):
        raise Truncated(f"{name} ends at byte {len(data)}, before byte {max(end, offset)}")
