"""The dump in parts: the table of contents is pg_dump's, the data is read by several COPY at once.

Joined in the order of their names the parts are an ordinary archive in custom format. All readers
see the leader's snapshot; the leader keeps every table locked until all is read.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter

import psycopg

from covetbackup.core.databases.base import Member
from covetbackup.core.databases.postgresql.archive import block_codec, copy_streams
from covetbackup.core.databases.postgresql.archive.contents import TABLE_DATA, TableOfContents
from covetbackup.core.databases.postgresql.archive.copy_sql import quoted_name
from covetbackup.core.databases.postgresql.archive.member_names import HEAD
from covetbackup.core.databases.postgresql.archive.writer import head_of_archive
from covetbackup.core.databases.postgresql.backup.leader import Leader
from covetbackup.core.databases.postgresql.backup.plan import Part, ReadTask
from covetbackup.core.databases.postgresql.backup.psql import PsqlReaders
from covetbackup.core.databases.postgresql.backup.readers import Readers, TableBusy
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    connection_lost,
    is_connection_loss,
    line_of,
)
from covetbackup.core.errors import Incomplete, SourceFailed

METHOD = "parallel"
PSQL_MIN_BYTES = 8 << 20
"""Bytes of a table from which on it is read by psql."""


@dataclass(frozen=True, slots=True)
class _StoredPart:
    """A part that was read to its end.

    `size` is in bytes, `block_starts` are the offsets of blocks by dump id, `rows` are those of
    counted tables by oid.
    """

    size: int
    block_starts: Mapping[int, int]
    rows: Mapping[int, int]


class ParallelDump:
    """A dump as the members `dump.pgc.0001` and so on, and `dump.pgc.0000` last."""

    method = METHOD

    def __init__(
        self,
        contents: TableOfContents,
        parts: Sequence[Part],
        *,
        readers: Readers,
        leader: Leader,
        psql_readers: PsqlReaders | None,
    ) -> None:
        self._contents = contents
        self._parts = parts
        self._readers = readers
        self._leader = leader
        self._psql_readers = psql_readers
        self._stored: dict[int, _StoredPart] = {}

    def groups(self) -> Iterator[Sequence[Member]]:
        """Yield the parts with data, which may be read at once, and then the table of contents."""
        if self._parts:
            yield tuple(
                Member(
                    part.name,
                    self._source(part),
                    size_hint=part.size_bytes or None,
                    may_be_empty=part.may_be_empty,
                )
                for part in self._parts
            )
        yield (Member(HEAD, self._head(), size_hint=self._contents.size),)

    def dumped_tables(self) -> frozenset[int] | None:
        """Return the oids of the tables whose rows are in the dump.

        Raises `Incomplete` if not all parts were read to their ends.
        """
        self._offsets()
        entries = self._contents.data_entries
        return frozenset(entry.oid for entry in entries if entry.kind == TABLE_DATA)

    def counted_rows(self) -> dict[int, int]:
        """Return the rows by oid of the tables that are counted while they are read."""
        return {oid: n for stored in self._stored.values() for oid, n in stored.rows.items()}

    @contextmanager
    def _head(self) -> Iterator[Iterator[bytes]]:
        yield iter([head_of_archive(self._contents, self._offsets())])

    def _offsets(self) -> dict[int, int]:
        offsets: dict[int, int] = {}
        position = self._contents.size
        for part in self._parts:
            stored = self._stored.get(part.number)
            if stored is None:
                raise Incomplete(f"{part.name} was not read to its end")
            offsets |= {entry: position + start for entry, start in stored.block_starts.items()}
            position += stored.size
        return offsets

    @contextmanager
    def _source(self, part: Part) -> Iterator[Iterator[bytes]]:
        pieces = self._pieces(part)
        try:
            yield pieces
        except psycopg.Error as error:
            what = f"reading {part.name} failed"
            if is_connection_loss(error):
                raise connection_lost(what, error) from error
            raise SourceFailed(f"{what}: {line_of(error)}") from error
        finally:
            pieces.close()

    def _pieces(self, part: Part) -> Generator[bytes, None, None]:
        stats = _PartStats()
        for is_big, tasks in groupby(part.tasks, key=self._is_for_psql):
            read = self._read_by_psql if is_big else self._read_by_connection
            for piece in read(tuple(tasks), stats):
                stats.size += len(piece)
                yield piece
        self._stored[part.number] = _StoredPart(stats.size, stats.block_starts, stats.rows)

    def _is_for_psql(self, task: ReadTask) -> bool:
        has_psql = self._psql_readers is not None
        return has_psql and task.size_bytes >= PSQL_MIN_BYTES and bool(task.statement)

    def _read_by_psql(self, tasks: Sequence[ReadTask], stats: _PartStats) -> Iterator[bytes]:
        for task in tasks:
            yield from _block(task, self._psql_rows(task, stats), stats)

    def _psql_rows(self, task: ReadTask, stats: _PartStats) -> Iterator[bytes]:
        assert self._psql_readers is not None
        try:
            rows = self._psql_readers.rows(quoted_name(task.entry), task.statement)
            yield from block_codec.framed_pieces(stats.count_rows(task, rows))
        except TableBusy:
            yield from self._leader.read(partial(_data, task, stats))

    def _read_by_connection(self, tasks: Sequence[ReadTask], stats: _PartStats) -> Iterator[bytes]:
        tables = [quoted_name(task.entry) for task in tasks if task.statement]
        try:
            with self._readers.acquire(tables) as connection:
                for task in tasks:
                    yield from _block(task, _data(task, stats, connection), stats)
        except TableBusy:  # on entering, before anything was read
            for task in tasks:
                yield from _block(task, self._leader.read(partial(_data, task, stats)), stats)


class _PartStats:
    """What was read of a part so far: its size, where blocks begin, and the rows of its tables."""

    def __init__(self) -> None:
        self.size = 0
        self.block_starts: dict[int, int] = {}
        self.rows: dict[int, int] = {}

    def count_rows(self, task: ReadTask, rows: Iterable[bytes]) -> Iterator[bytes]:
        """Yield `rows` in COPY's text format, in which each row has one line end, its last byte."""
        if not task.counted:
            yield from rows
            return
        self.rows[task.entry.oid] = 0
        for piece in rows:
            self.rows[task.entry.oid] += piece.count(b"\n")
            yield piece


def _block(task: ReadTask, data: Iterable[bytes], stats: _PartStats) -> Iterator[bytes]:
    if task.starts_block:
        stats.block_starts[task.entry.dump_id] = stats.size
        kind = block_codec.TABLE if task.statement else block_codec.OBJECTS
        yield block_codec.start_of_block(kind, task.entry.dump_id)
    yield from data
    if task.ends_block:
        yield from block_codec.framed_pieces([block_codec.END_OF_ROWS] if task.statement else [])
        yield block_codec.END


def _data(task: ReadTask, stats: _PartStats, connection: Connection) -> Iterator[bytes]:
    if task.statement:
        rows = copy_streams.read_rows(connection, task.statement)
        yield from block_codec.framed_pieces(stats.count_rows(task, rows))
        return
    for oid, pieces in groupby(copy_streams.large_objects(connection, task.objects), itemgetter(0)):
        yield block_codec.start_of_object(oid)
        yield from block_codec.framed_pieces(piece for _, piece in pieces)
        yield block_codec.END
