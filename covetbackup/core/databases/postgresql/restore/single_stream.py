"""The sink of a dump in one stream, whose table of contents decides where its data goes."""

from __future__ import annotations

from collections.abc import Callable

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream.base import Sink


class SingleStreamSink:
    """A sink that feeds the one that `begin` returns for the table of contents.

    `begin` gets None for contents that are not supported here. It also returns whether its sink is
    to be fed the table of contents, too.
    """

    def __init__(self, begin: Callable[[TableOfContents | None], tuple[Sink, bool]]) -> None:
        self._begin = begin
        self._head = bytearray()
        self._next_try = 0
        self._loading: Sink | None = None

    def write(self, chunk: bytes) -> None:
        if self._loading is not None:
            self._loading.write(chunk)
            return
        self._head += chunk
        # Tried again only after twice as much: each try reads all of it.
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
        contents: TableOfContents | None = None
        try:
            contents = read_contents(bytes(self._head))
        except NeedsMore:
            return
        except Unsupported:
            pass
        self._loading, wants_contents = self._begin(contents)
        skipped = 0 if wants_contents or contents is None else contents.size
        self._loading.write(bytes(self._head[skipped:]))
        self._head.clear()
