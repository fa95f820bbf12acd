"""The dump in parts: the contents are pg_dump's, the data is read by several COPY at once.

Joined in the order of their names the parts are an ordinary archive in custom form. All readers
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
    is_silence,
    line_of,
    lost,
)
from covetbackup.core.errors import Incomplete, SourceFailed

METHOD = "parallel"
PSQL_MIN_BYTES = 8 << 20
"""Bytes of a table from which on it is read by a program of its own."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A part that was read to its end: its size, where in it blocks begin, by dump id, and how many
    rows of counted tables, by their oids, it holds."""

    size: int
    begun: Mapping[int, int]
    rows: Mapping[int, int]


class ParallelDump:
    """The members `dump.pgc.0001` and so on, and `dump.pgc.0000` last."""

    method = METHOD

    def __init__(
        self,
        contents: TableOfContents,
        parts: Sequence[Part],
        *,
        readers: Readers,
        leader: Leader,
        children: PsqlReaders | None,
    ) -> None:
        self._contents = contents
        self._parts = parts
        self._readers = readers
        self._leader = leader
        self._children = children
        self._stored: dict[int, _Stored] = {}

    def groups(self) -> Iterator[Sequence[Member]]:
        if self._parts:
            yield tuple(
                Member(
                    part.name,
                    self._source(part),
                    size_hint=part.weight or None,
                    may_be_empty=part.may_be_empty,
                )
                for part in self._parts
            )
        yield (Member(HEAD, self._head(), size_hint=self._contents.size),)

    def dumped_tables(self) -> frozenset[int] | None:
        """Oids of the tables whose rows are in the dump. Raises `Incomplete` if not all parts
        were read to their ends."""
        self._offsets()
        entries = self._contents.data_entries
        return frozenset(entry.oid for entry in entries if entry.kind == TABLE_DATA)

    def counted_rows(self) -> dict[int, int]:
        """Rows by table oid, of those that are counted while they are read."""
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
            offsets |= {dump_id: position + offset for dump_id, offset in stored.begun.items()}
            position += stored.size
        return offsets

    @contextmanager
    def _source(self, part: Part) -> Iterator[Iterator[bytes]]:
        pieces = self._pieces(part)
        try:
            yield pieces
        except psycopg.Error as error:
            what = f"reading {part.name} failed"
            if is_silence(error):
                raise lost(what, error) from error
            raise SourceFailed(f"{what}: {line_of(error)}") from error
        finally:
            pieces.close()

    def _pieces(self, part: Part) -> Generator[bytes, None, None]:
        tally = _Tally()
        for is_big, units in groupby(part.units, key=self._is_for_a_child):
            read = self._by_child if is_big else self._by_reader
            for piece in read(tuple(units), tally):
                tally.size += len(piece)
                yield piece
        self._stored[part.number] = _Stored(tally.size, tally.begun, tally.rows)

    def _is_for_a_child(self, unit: ReadTask) -> bool:
        return self._children is not None and unit.weight >= PSQL_MIN_BYTES and bool(unit.statement)

    def _by_child(self, units: Sequence[ReadTask], tally: _Tally) -> Iterator[bytes]:
        for unit in units:
            yield from _block(unit, self._childs_rows(unit, tally), tally)

    def _childs_rows(self, unit: ReadTask, tally: _Tally) -> Iterator[bytes]:
        assert self._children is not None
        try:
            rows = self._children.rows(quoted_name(unit.entry), unit.statement)
            yield from block_codec.framed_pieces(tally.counted(unit, rows))
        except TableBusy:
            yield from self._leader.read(partial(_data, unit, tally))

    def _by_reader(self, units: Sequence[ReadTask], tally: _Tally) -> Iterator[bytes]:
        tables = [quoted_name(unit.entry) for unit in units if unit.statement]
        try:
            with self._readers.lent(tables) as connection:
                for unit in units:
                    yield from _block(unit, _data(unit, tally, connection), tally)
        except TableBusy:  # on entering, before anything was read
            for unit in units:
                yield from _block(unit, self._leader.read(partial(_data, unit, tally)), tally)


class _Tally:
    """What of a part has been read so far: its size, and where blocks begin, by dump id."""

    def __init__(self) -> None:
        self.size = 0
        self.begun: dict[int, int] = {}
        self.rows: dict[int, int] = {}

    def counted(self, unit: ReadTask, rows: Iterable[bytes]) -> Iterator[bytes]:
        """`rows` in COPY's text format, in which a line end ends a row and is in none."""
        if not unit.counted:
            yield from rows
            return
        self.rows[unit.entry.oid] = 0
        for piece in rows:
            self.rows[unit.entry.oid] += piece.count(b"\n")
            yield piece


def _block(unit: ReadTask, data: Iterable[bytes], tally: _Tally) -> Iterator[bytes]:
    if unit.begins:
        tally.begun[unit.entry.dump_id] = tally.size
        kind = block_codec.TABLE if unit.statement else block_codec.OBJECTS
        yield block_codec.start_of_block(kind, unit.entry.dump_id)
    yield from data
    if unit.ends:
        yield from block_codec.framed_pieces([block_codec.END_OF_ROWS] if unit.statement else [])
        yield block_codec.END


def _data(unit: ReadTask, tally: _Tally, connection: Connection) -> Iterator[bytes]:
    if unit.statement:
        rows = copy_streams.copy_out(connection, unit.statement)
        yield from block_codec.framed_pieces(tally.counted(unit, rows))
        return
    for oid, pieces in groupby(copy_streams.large_objects(connection, unit.objects), itemgetter(0)):
        yield block_codec.start_of_object(oid)
        yield from block_codec.framed_pieces(piece for _, piece in pieces)
        yield block_codec.END
