"""The tables, views and sequences of a database, and what a dump must know of each."""

from __future__ import annotations

from dataclasses import dataclass

from covetbackup.core.databases.mysql.replace import metadata_tables
from covetbackup.core.databases.mysql.server.connection import Connection


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows. `size_bytes` and `estimate`, a number of rows, are the server's estimates.

    One that is not `transactional` has no snapshots. A `versioned` one keeps its rows' history.
    """

    name: str
    engine: str
    size_bytes: int
    estimate: int
    transactional: bool
    versioned: bool

    @property
    def has_own_rows(self) -> bool:
        """Whether the dump programs write its rows; not if they are elsewhere."""
        return self.engine.upper() not in _ENGINES_WITHOUT_ROWS

    @property
    def can_change_database(self) -> bool:
        """Whether RENAME TABLE can move it into another database."""
        return self.engine.upper() != STATIONARY


STATIONARY = "CONNECT"
_ENGINES_WITHOUT_ROWS = {
    "MRG_MYISAM", "MRG_ISAM", "FEDERATED", "CONNECT", "SPIDER", "OQGRAPH", "VP", "SPHINX",
}  # fmt: skip
_NOT_DUMPED = "S3"
"""The engine of tables that were moved to object storage, where a server finds them by itself."""


@dataclass(frozen=True, slots=True)
class TableListing:
    """All objects of a database in the namespace of tables, sorted by name."""

    tables: tuple[Table, ...]
    views: tuple[str, ...]
    sequences: tuple[str, ...]
    not_dumped: tuple[str, ...] = ()

    @property
    def non_empty(self) -> tuple[Table, ...]:
        """The tables with rows of their own."""
        return tuple(table for table in self.tables if table.has_own_rows)

    @property
    def table_names(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(table.name for table in self.tables)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all that a dump would hold."""
        return (*self.table_names, *self.views, *self.sequences)

    @property
    def size_bytes(self) -> int:
        """The estimated size of all tables."""
        return sum(table.size_bytes for table in self.tables)


_TABLES = """
SELECT t.TABLE_NAME, t.TABLE_TYPE, coalesce(t.ENGINE, ''), coalesce(t.DATA_LENGTH, 0),
       coalesce(t.TABLE_ROWS, 0), coalesce(e.TRANSACTIONS, '') = 'YES'
FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
WHERE t.TABLE_SCHEMA = %s AND t.TABLE_NAME NOT IN (%s, %s) ORDER BY t.TABLE_NAME
"""


def list_tables(connection: Connection, database: str) -> TableListing:
    """Return the tables, views and sequences of `database`, and what a dump leaves out."""
    tables, views, sequences, not_dumped = [], [], [], []
    for name, kind, engine, size, estimate, transactional in connection.rows(
        _TABLES, [database, *metadata_tables.TABLES]
    ):
        if kind == "SEQUENCE":
            sequences.append(name)
        elif kind.endswith("VIEW"):
            views.append(name)
        elif engine == _NOT_DUMPED:
            not_dumped.append(name)
        else:
            tables.append(
                Table(
                    name=name,
                    engine=engine,
                    size_bytes=int(size),
                    estimate=int(estimate),
                    transactional=bool(transactional),
                    versioned=kind == "SYSTEM VERSIONED",
                )
            )
    return TableListing(tuple(tables), tuple(views), tuple(sequences), tuple(not_dumped))


def balanced(tables: tuple[Table, ...], parts: int) -> list[tuple[Table, ...]]:
    """Divide `tables` into at most `parts` groups, none empty, of about the same size each."""
    groups: list[list[Table]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for table in sorted(tables, key=lambda each: (-each.size_bytes, each.name)):
        least = sizes.index(min(sizes))
        groups[least].append(table)
        sizes[least] += table.size_bytes + _TABLE_COST
    return [tuple(group) for group in groups if group]


_TABLE_COST = 16 << 10  # what the statements about an empty table take, in bytes of rows
