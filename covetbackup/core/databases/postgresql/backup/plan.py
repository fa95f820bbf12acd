"""Decides what goes into which part of an archive. Pure: values in, values out.

Small tables share a part, so that thousands of tables do not become thousands of objects; a big
heap is cut into ranges of pages, so that several readers share it. The data stays in the order of
the table of contents: pg_restore, reading from a pipe, cannot go back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.archive import copy_sql
from covetbackup.core.databases.postgresql.archive.contents import (
    BLOB,
    BLOB_METADATA,
    BLOBS,
    TABLE_DATA,
    Entry,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.member_names import MOST_PARTS, part_name
from covetbackup.core.databases.postgresql.archive.reader import Unsupported

LARGEST_PART_BYTES = 64 << 20
"""Starting a reader takes about 50 ms, a twentieth of the time for so many bytes."""

SMALLEST_PART_BYTES = 16 << 20
_CHUNKS = 16  # enough for four readers to end together
_OBJECTS_AT_ONCE = 1000
TASK_COST_BYTES = 16 << 10  # a question and its answer take as long as so many bytes, or longer


@dataclass(frozen=True, slots=True)
class TableSize:
    """What the server says of a table: `weight` in bytes, TOAST included; `pages` to cut it by,
    0 if it cannot be cut; the `condition` of an extension on its rows. The rows of a table that
    is `counted` are counted while they are read."""

    weight: int
    pages: int = 0
    condition: bytes = b""
    counted: bool = False


@dataclass(frozen=True, slots=True)
class ReadTask:
    """What one reader reads for one entry: rows, by `statement`, or large `objects`. Only the
    first unit of an entry `begins` its block, and only the last one `ends` it."""

    entry: Entry
    weight: int
    statement: bytes = b""
    objects: tuple[int, ...] = ()
    begins: bool = True
    ends: bool = True
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Units that are stored as one member, one after the other."""

    number: int
    units: tuple[ReadTask, ...]

    @property
    def name(self) -> str:
        return part_name(self.number)

    @property
    def weight(self) -> int:
        return sum(unit.weight for unit in self.units)

    @property
    def may_be_empty(self) -> bool:
        """Pages in the midst of a table may hold no row that lives."""
        return not any(unit.begins or unit.ends for unit in self.units)


def part_size_bytes(total: int) -> int:
    """How much data a part should hold, of `total` bytes: little enough that all readers have
    something to do, and enough that a backup has some thousand parts at most."""
    return max(
        SMALLEST_PART_BYTES, min(LARGEST_PART_BYTES, total // _CHUNKS), 4 * total // MOST_PARTS
    )


def plan_parts(
    contents: TableOfContents, heaps: Mapping[int, TableSize], *, object_weight: int, chunk: int
) -> tuple[Part, ...]:
    """All data of `contents` in parts. `heaps` are by table oid; `object_weight` is what a large
    object takes on average, in bytes.

    Raises `Unsupported` for data of a kind that is not known here.
    """
    parts: list[Part] = []
    units: list[ReadTask] = []
    room = chunk
    for entry in contents.data_entries:
        for unit in _units(contents, entry, heaps, object_weight, chunk):
            cost = unit.weight + TASK_COST_BYTES
            if units and cost > room:
                parts.append(Part(len(parts) + 1, tuple(units)))
                units, room = [], chunk
            units.append(unit)
            room -= cost
    if units:
        parts.append(Part(len(parts) + 1, tuple(units)))
    if len(parts) > MOST_PARTS:
        raise Unsupported(f"{len(parts)} parts are more than can be named")
    return tuple(parts)


def _units(
    contents: TableOfContents,
    entry: Entry,
    heaps: Mapping[int, TableSize],
    object_weight: int,
    chunk: int,
) -> Sequence[ReadTask]:
    if entry.kind == TABLE_DATA:
        if entry.oid not in heaps:
            raise Unsupported(f"table {entry.name} is dumped, but not among those that are locked")
        return list(_rows(entry, heaps[entry.oid], chunk))
    if entry.kind == BLOBS:
        oids = objects(contents, entry)
        return list(_batches(entry, oids, object_weight, max(1, chunk // max(1, object_weight))))
    raise Unsupported(f"data of kind {entry.kind.decode(errors='replace')} is not known")


def _rows(entry: Entry, heap: TableSize, chunk: int) -> Iterator[ReadTask]:
    count = min(heap.weight // chunk, heap.pages)
    if count <= 2 or heap.condition:
        statement = copy_sql.copy_to_stdout(entry, heap.condition)
        yield ReadTask(entry, heap.weight, statement, counted=heap.counted)
        return
    # The last range is open: rows of the snapshot may lie on pages added since it was measured.
    bounds = [number * heap.pages // count for number in range(count)]
    for first, end in zip(bounds, [*bounds[1:], None], strict=True):
        yield ReadTask(
            entry,
            heap.weight // count,
            copy_sql.copy_to_stdout(entry, copy_sql.ctid_range(first, end)),
            begins=first == 0,
            ends=end is None,
        )


def objects(contents: TableOfContents, entry: Entry) -> list[int]:
    """The oids of the large objects whose data `entry` is.

    Up to PostgreSQL 16 one entry has all of them; later each has its own list.
    """
    if contents.version[:2] < (1, 16):
        return [each.oid for each in contents.entries if each.kind == BLOB]
    needed = [each for each in contents.entries if each.dump_id in entry.dependencies]
    lists = [each for each in needed if each.kind == BLOB_METADATA]
    if len(lists) != 1:
        raise Unsupported(f"the large objects of {entry.name} are not listed")
    return [int(line) for line in lists[0].definition.split()]


def _batches(entry: Entry, oids: list[int], weight: int, most: int) -> Iterator[ReadTask]:
    size = min(most, _OBJECTS_AT_ONCE)
    for first in range(0, max(1, len(oids)), size):
        batch = tuple(oids[first : first + size])
        yield ReadTask(
            entry,
            weight * len(batch),
            objects=batch,
            begins=first == 0,
            ends=first + size >= len(oids),
        )
