"""The dump as one stream of pg_dump: slower than in parts, and possible on every server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from covetbackup.core.databases.base import Member
from covetbackup.core.databases.postgresql.archive.check import listing_check
from covetbackup.core.databases.postgresql.archive.member_names import DUMP
from covetbackup.core.databases.postgresql.backup.pgdump import PgDump
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream.pump import filtered

METHOD = "logical"


class SingleStreamDump:
    """A dump as the one member `dump.pgc`; `size_hint` is its expected size in bytes."""

    method = METHOD

    def __init__(self, pg_dump: PgDump, *, pg_restore: str, size_hint: int | None) -> None:
        self._pg_dump = pg_dump
        self._pg_restore = pg_restore
        self._size_hint = size_hint
        self._listing: dict[str, frozenset[int]] | None = None
        self._has_ended = False

    def groups(self) -> Iterator[Sequence[Member]]:
        """Yield the member."""
        yield (Member(DUMP, self._source(), size_hint=self._size_hint),)

    def dumped_tables(self) -> frozenset[int] | None:
        """Return the oids of the tables whose rows are in the dump.

        None if its table of contents is too long to tell. Raises `Incomplete` if the dump was not
        read to its end.
        """
        if not self._has_ended:
            raise Incomplete("the dump was not read to its end")
        return None if self._listing is None else self._listing["TABLE DATA"]

    def counted_rows(self) -> dict[int, int]:
        """Return nothing: rows are not counted in the stream."""
        return {}

    @contextmanager
    def _source(self) -> Iterator[Iterator[bytes]]:
        check = listing_check(self._pg_restore, found=self._set_listing)
        with filtered(self._pg_dump.archive(), [check]) as chunks:
            yield self._until_end(chunks)

    def _until_end(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        self._has_ended = True

    def _set_listing(self, listing: dict[str, frozenset[int]]) -> None:
        self._listing = listing
