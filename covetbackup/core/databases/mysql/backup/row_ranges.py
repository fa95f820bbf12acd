"""The parts that the rows of a database are dumped in: groups of tables, and ranges of large ones.

A range is of the values of a primary key's first column, if that is an integer. Its bounds come
from the server's estimates, which cost no more than a few index dives: a bad one makes streams of
unlike length, and never loses a row, as the ranges cover all integers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from covetbackup.core.databases.mysql.inventory.tables import Table, balanced
from covetbackup.core.databases.mysql.server.connection import Connection, quoted

SPLIT_BYTES = 64 << 20
"""A smaller table is dumped in two seconds, and each further stream is a program and a session."""

STEPS = 12
"""A step is this fraction of the rows as the server estimates them. InnoDB estimates twice of what
there is, and never more than half of a table: so only small ranges can be compared, and there are
about 24 steps, which took 200 estimates of 0.2 ms each."""

_MOST_STEPS = 4 * STEPS
"""Estimates that are far too high would have a step for each value of the key."""

_TOLERANCE = 1.25  # a step may be so much longer than it should be


@dataclass(frozen=True, slots=True)
class RowRange:
    """The rows of one stream: all rows of `tables`, or those of a range of one, `where`."""

    tables: tuple[Table, ...]
    size_bytes: int
    where: str = ""

    def divided(self, names: Collection[str]) -> Iterator[RowRange]:
        """Yield the part with only the tables `names`, and the rest; none is empty."""
        for are_named in (True, False):
            tables = tuple(each for each in self.tables if (each.name in names) is are_named)
            if tables:
                size = self.size_bytes if len(tables) == len(self.tables) else _size(tables)
                yield RowRange(tables, size, self.where)


def _size(tables: Sequence[Table]) -> int:
    return sum(table.size_bytes for table in tables)


def parts_of(
    connection: Connection, database: str, tables: tuple[Table, ...], streams: int
) -> list[RowRange]:
    """Return about `streams` parts of about the same size each, the ranges first."""
    share = _size(tables) / streams
    large = [
        table
        for table in tables
        if streams > 1 and table.size_bytes > max(share, SPLIT_BYTES) and _can_be_split(table)
    ]
    columns = _integer_keys(connection, database) if large else {}
    ranges: list[RowRange] = []
    for table in large:
        if table.name in columns:
            pieces = min(streams, -(-table.size_bytes // int(share)))
            ranges += _ranges(connection, database, table, columns[table.name], pieces)
    split = {part.tables[0].name for part in ranges}
    rest = tuple(table for table in tables if table.name not in split)
    groups = balanced(rest, max(1, streams - len(ranges)))
    return ranges + [RowRange(group, _size(group)) for group in groups]


def _can_be_split(table: Table) -> bool:
    return table.engine == "InnoDB" and not table.versioned


_KEYS = """
SELECT s.TABLE_NAME, s.COLUMN_NAME FROM information_schema.STATISTICS s
JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = s.TABLE_SCHEMA
 AND c.TABLE_NAME = s.TABLE_NAME AND c.COLUMN_NAME = s.COLUMN_NAME
WHERE s.TABLE_SCHEMA = %s AND s.INDEX_NAME = 'PRIMARY' AND s.SEQ_IN_INDEX = 1
  AND c.DATA_TYPE IN ('tinyint', 'smallint', 'mediumint', 'int', 'bigint')
"""


def _integer_keys(connection: Connection, database: str) -> dict[str, str]:
    """Return the first column of each integer primary key, by table. Not with line ends in its
    name: the dump program writes the condition into a comment."""
    rows = connection.rows(_KEYS, [database])
    return {table: column for table, column in rows if str(column).isprintable()}


def _ranges(
    connection: Connection, database: str, table: Table, column: str, pieces: int
) -> list[RowRange]:
    place, key = f"{quoted(database)}.{quoted(table.name)}", quoted(column)
    least, most = connection.rows(f"SELECT min({key}), max({key}) FROM {place}")[0]
    if least is None:
        return []

    def rows_in(low: int, high: int) -> int:
        return _estimate(
            connection, f"SELECT * FROM {place} WHERE {key} >= {low} AND {key} < {high}"
        )

    steps = list(split_points(rows_in, int(least), int(most), max(1, table.estimate // STEPS)))
    count = len(steps) + 1
    chosen = {count * number // pieces for number in range(1, pieces)} - {0}
    bounds = [steps[number - 1] for number in sorted(chosen)]
    size = table.size_bytes // (len(bounds) + 1)
    return [RowRange((table,), size, where) for where in conditions(key, bounds)] if bounds else []


def split_points(
    rows_in: Callable[[int, int], int], least: int, most: int, wanted: int
) -> Iterator[int]:
    """Yield values in ascending order with about `wanted` rows between each two of them."""
    begin, width = least, (most - least) // STEPS
    for _ in range(_MOST_STEPS):
        if begin >= most or rows_in(begin, most + 1) <= wanted:
            return
        end = _end_of_step(rows_in, begin, most, wanted, guess=begin + max(1, width))
        if end > most:
            return
        yield end
        begin, width = end, end - begin


def _end_of_step(
    rows_in: Callable[[int, int], int], begin: int, most: int, wanted: int, *, guess: int
) -> int:
    low, high = begin, most + 1
    middle = min(guess, most)
    while high - low > 1:
        found = rows_in(begin, middle)
        if wanted <= found <= wanted * _TOLERANCE:
            return middle
        low, high = (middle, high) if found < wanted else (low, middle)
        middle = (low + high) // 2
    return high


def conditions(key: str, bounds: Sequence[int]) -> list[str]:
    """Return the conditions of ranges that end before each of `bounds`, and of the last one.

    Together they cover all integers.
    """
    starts = ["", *(f"{key} >= {bound}" for bound in bounds)]
    ends = [*(f"{key} < {bound}" for bound in bounds), ""]
    return [" AND ".join(filter(None, pair)) for pair in zip(starts, ends, strict=True)]


def _estimate(connection: Connection, query: str) -> int:
    """Estimate the rows that `query` reads. MySQL may have another default format of EXPLAIN."""
    if connection.version.is_mariadb:
        return int(connection.rows(f"EXPLAIN {query}")[0][-2] or 0)
    return int(connection.rows(f"EXPLAIN FORMAT = TRADITIONAL {query}")[0][-3] or 0)
