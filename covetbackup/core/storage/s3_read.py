"""Reads from S3 that survive cut, short and stalled answers.

A continued read names the ETag it began with, so the halves of two objects are never joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from covetbackup.core.errors import ObjectExists, StorageError, StorageUnavailable, Truncated
from covetbackup.core.storage.resume import resume_reads
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3_connection import S3Connection
from covetbackup.core.storage.s3_errors import BeyondEnd
from covetbackup.core.stream.base import Source

_PIECE_BYTES = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


def read_object(
    connection: S3Connection,
    name: str,
    *,
    offset: int,
    length: int | None,
    retry: Retry,
) -> Source:
    """Return a source of `length` bytes of `name` from `offset`, or of all that follow."""
    return resume_reads(_Read(connection, name, offset, length).connect, retry)


class _Read:
    """One read of one version of an object, over as many connections as it takes."""

    def __init__(
        self, connection: S3Connection, name: str, offset: int, length: int | None
    ) -> None:
        self._connection = connection
        self._name = name
        self._offset = offset
        self._length = length
        self._etag = ""

    @contextmanager
    def connect(self, done: int) -> Iterator[Iterator[bytes]]:
        start = self._offset + done
        if self._length == done:
            self._head()  # for a missing object, even when nothing of it is wanted
            yield iter(())
            return
        try:
            answer = self._get(start)
        except BeyondEnd:
            yield self._pieces(None, start, self._head()["ContentLength"])
            return
        with closing(answer["Body"]) as body:
            yield self._pieces(body, start, self._total(answer, start))

    def _get(self, start: int) -> dict[str, Any]:
        conditions: dict[str, Any] = {"IfMatch": self._etag} if self._etag else {}
        if start or self._length is not None:
            conditions["Range"] = f"bytes={start}-{self._last_byte()}"
        try:
            answer = self._connection.call("get_object", self._name, Key=self._key(), **conditions)
        except ObjectExists as error:  # 412: If-Match does not hold
            raise self._replaced() from error
        etag = answer.get("ETag", "")
        if self._etag and etag != self._etag:  # not every store looks at If-Match
            answer["Body"].close()
            raise self._replaced()
        self._etag = etag
        return answer

    def _total(self, answer: dict[str, Any], start: int) -> int:
        """The size of the whole object, by an answer that begins at `start`."""
        if not start and self._length is None:
            return int(answer["ContentLength"])
        found = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        if found is None or int(found[1]) != start:
            raise StorageError(
                f"{self._connection.settings.place} answered another range of {self._name} "
                f"than the one from byte {start}",
                hint="this store cannot read parts of objects",
            )
        return int(found[2])

    def _pieces(self, body: Any, start: int, total: int) -> Iterator[bytes]:
        wanted = total if self._length is None else self._offset + self._length
        left = min(wanted, total) - start
        while left > 0:
            with self._connection.translate_errors(self._name):
                piece: bytes = body.read(min(_PIECE_BYTES, left))
            if not piece:
                raise StorageUnavailable(f"{self._name} was cut {left} bytes before its end")
            left -= len(piece)
            yield piece
        if max(wanted, start) > total:
            raise Truncated(f"{self._name} ends at byte {total}, before byte {max(wanted, start)}")

    def _head(self) -> dict[str, Any]:
        return self._connection.call("head_object", self._name, Key=self._key())

    def _key(self) -> str:
        return self._connection.settings.key(self._name)

    def _last_byte(self) -> str:
        return "" if self._length is None else str(self._offset + self._length - 1)

    def _replaced(self) -> StorageError:
        return StorageError(f"{self._name} was replaced while it was read")
