"""The plan of a parallel dump: what is read for which part. Pure: values in, values out.

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
_PARTS = 16  # enough for four readers to end together
_OBJECTS_AT_ONCE = 1000
TASK_COST_BYTES = 16 << 10  # a round trip takes as long as so many bytes, or longer


@dataclass(frozen=True, slots=True)
class TableSize:
    """The size of a table and how it is read.

    `size_bytes` includes TOAST; `pages` is 0 if it cannot be cut; `condition` is the WHERE clause
    of an extension on its rows. The rows of a table that is `counted` are counted while they are
    read.
    """

    size_bytes: int
    pages: int = 0
    condition: bytes = b""
    counted: bool = False


@dataclass(frozen=True, slots=True)
class ReadTask:
    """The rows, by `statement`, or large `objects`, by oid, of one entry that one reader reads.

    Only the first task of an entry `starts_block`, and only the last one `ends_block`.
    """

    entry: Entry
    size_bytes: int
    statement: bytes = b""
    objects: tuple[int, ...] = ()
    starts_block: bool = True
    ends_block: bool = True
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Tasks whose data is stored as one member, one after the other."""

    number: int
    tasks: tuple[ReadTask, ...]

    @property
    def name(self) -> str:
        """The name of the member."""
        return part_name(self.number)

    @property
    def size_bytes(self) -> int:
        """The expected size in bytes."""
        return sum(task.size_bytes for task in self.tasks)

    @property
    def may_be_empty(self) -> bool:
        """Whether it may hold nothing: pages in the midst of a table may have no live row."""
        return not any(task.starts_block or task.ends_block for task in self.tasks)


def part_size_bytes(total: int) -> int:
    """Return how many bytes a part should hold of `total`.

    They are few enough that all readers have something to do, and enough that a backup has some
    thousand parts at most.
    """
    return max(
        SMALLEST_PART_BYTES, min(LARGEST_PART_BYTES, total // _PARTS), 4 * total // MOST_PARTS
    )


def plan_parts(
    contents: TableOfContents, tables: Mapping[int, TableSize], *, object_bytes: int, part_size: int
) -> tuple[Part, ...]:
    """Return the parts that hold all data of `contents`, in its order.

    `tables` are by table oid; `object_bytes` is the average size of a large object; a part has
    about `part_size` bytes. Raises `Unsupported` for data of an unknown kind.
    """
    parts: list[Part] = []
    tasks: list[ReadTask] = []
    room = part_size
    for entry in contents.data_entries:
        for task in _tasks(contents, entry, tables, object_bytes, part_size):
            cost = task.size_bytes + TASK_COST_BYTES
            if tasks and cost > room:
                parts.append(Part(len(parts) + 1, tuple(tasks)))
                tasks, room = [], part_size
            tasks.append(task)
            room -= cost
    if tasks:
        parts.append(Part(len(parts) + 1, tuple(tasks)))
    if len(parts) > MOST_PARTS:
        raise Unsupported(f"{len(parts)} parts are more than the {MOST_PARTS} that have names")
    return tuple(parts)


def _tasks(
    contents: TableOfContents,
    entry: Entry,
    tables: Mapping[int, TableSize],
    object_bytes: int,
    part_size: int,
) -> Sequence[ReadTask]:
    if entry.kind == TABLE_DATA:
        if entry.oid not in tables:
            raise Unsupported(f"table {entry.name} is dumped, but not among those that are locked")
        return list(_rows(entry, tables[entry.oid], part_size))
    if entry.kind == BLOBS:
        oids = large_object_oids(contents, entry)
        return list(_batches(entry, oids, object_bytes, max(1, part_size // max(1, object_bytes))))
    raise Unsupported(f"data of kind {entry.kind.decode(errors='replace')} is not known")


def _rows(entry: Entry, table: TableSize, part_size: int) -> Iterator[ReadTask]:
    count = min(table.size_bytes // part_size, table.pages)
    if count <= 2 or table.condition:
        statement = copy_sql.copy_to_stdout(entry, table.condition)
        yield ReadTask(entry, table.size_bytes, statement, counted=table.counted)
        return
    # The last range is open: rows of the snapshot may lie on pages added since it was measured.
    bounds = [number * table.pages // count for number in range(count)]
    for first, end in zip(bounds, [*bounds[1:], None], strict=True):
        yield ReadTask(
            entry,
            table.size_bytes // count,
            copy_sql.copy_to_stdout(entry, copy_sql.ctid_range(first, end)),
            starts_block=first == 0,
            ends_block=end is None,
        )


def large_object_oids(contents: TableOfContents, entry: Entry) -> list[int]:
    """Return the oids of the large objects whose data `entry` has.

    Up to PostgreSQL 16 one entry has all of them; later each has its own list.
    """
    if contents.version[:2] < (1, 16):
        return [each.oid for each in contents.entries if each.kind == BLOB]
    needed = [each for each in contents.entries if each.dump_id in entry.dependencies]
    lists = [each for each in needed if each.kind == BLOB_METADATA]
    if len(lists) != 1:
        raise Unsupported(f"the large objects of {entry.name} are not listed")
    return [int(line) for line in lists[0].definition.split()]


def _batches(entry: Entry, oids: list[int], size_bytes: int, most: int) -> Iterator[ReadTask]:
    size = min(most, _OBJECTS_AT_ONCE)
    for first in range(0, max(1, len(oids)), size):
        batch = tuple(oids[first : first + size])
        yield ReadTask(
            entry,
            size_bytes * len(batch),
            objects=batch,
            starts_block=first == 0,
            ends_block=first + size >= len(oids),
        )
