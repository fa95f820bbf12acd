"""The sink of a dump in one stream: its structure is created from the contents it begins with."""

from __future__ import annotations

from collections.abc import Callable

from covetbackup.core.databases.postgresql.toc.reading import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.toc.values import Contents
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream.base import Sink


class WholeSink:
    """Calls `begin` with the contents when they are there, and feeds all to what `load` then starts
    for the data alone. Of an archive that is not understood pg_restore makes everything."""

    def __init__(self, begin: Callable[[Contents], None], load: Callable[..., Sink]) -> None:
        self._begin = begin
        self._load = load
        self._head = bytearray()
        self._next_try = 0
        self._loading: Sink | None = None

    def write(self, chunk: bytes) -> None:
        if self._loading is not None:
            self._loading.write(chunk)
            return
        self._head += chunk
        # Read anew only after twice as much: each try reads all of it.
        if len(self._head) >= self._next_try:
            self._next_try = 2 * len(self._head)
            self._try_to_begin()

    def commit(self) -> None:
        if self._loading is None:
            self._try_to_begin()
        if self._loading is None:
            raise Incomplete("the dump ends in the midst of its contents")
        self._loading.commit()

    def abort(self) -> None:
        self._head.clear()
        if self._loading is not None:
            self._loading.abort()

    def _try_to_begin(self) -> None:
        try:
            contents = read_contents(bytes(self._head))
        except NeedsMore:
            return
        except Unsupported:
            self._loading = self._load("--exit-on-error")
        else:
            self._begin(contents)
            self._loading = self._load("--exit-on-error", "--section=data")
        self._loading.write(bytes(self._head))
        self._head.clear()
