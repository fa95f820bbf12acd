"""A storage around another one that retries its passing faults.

`create` passes through: only the driver's own sink still holds the bytes to send again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from covetbackup.core.errors import StorageUnavailable
from covetbackup.core.storage.base import ObjectInfo, Storage
from covetbackup.core.storage.resume import resume_reads
from covetbackup.core.storage.retry import GaveUp, Retry
from covetbackup.core.stream.base import Sink, Source


class ResilientStorage:
    """A `Storage` that retries `stat`, `list`, `delete`, `cleanup` and resumes reads."""

    def __init__(self, storage: Storage, retry: Retry) -> None:
        self._storage = storage
        self._retry = retry

    def create(self, name: str) -> Sink:
        return self._storage.create(name)

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        def connect(done: int) -> Source:
            left = None if length is None else length - done
            return self._storage.open(name, offset + done, left)

        return resume_reads(connect, self._retry)

    def stat(self, name: str) -> ObjectInfo:
        return self._retry(lambda: self._storage.stat(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List as the driver does; after a fault begin again and skip what was seen."""
        listing = self._storage.list(prefix)
        last = ""
        while True:
            try:
                info = next(listing, None)
            except GaveUp:
                raise
            except StorageUnavailable:
                listing, info = self._retry(partial(self._list_after, prefix, last))
            if info is None:
                return
            last = info.name
            yield info

    def delete(self, name: str) -> None:
        self._retry(lambda: self._storage.delete(name))

    def cleanup(self, before: datetime, prefix: str = "") -> Sequence[str]:
        return self._retry(lambda: self._storage.cleanup(before, prefix))

    def _list_after(self, prefix: str, last: str) -> tuple[Iterator[ObjectInfo], ObjectInfo | None]:
        listing = self._storage.list(prefix)
        return listing, next((info for info in listing if info.name > last), None)
