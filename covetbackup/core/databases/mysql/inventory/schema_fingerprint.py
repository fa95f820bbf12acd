"""Fingerprints of all definitions in a database, to notice that they change while it is dumped.

The structure is dumped apart from the rows. A table altered between the two would be restored with
rows that do not fit it, or that fit by accident. (Not every ALTER ends the snapshots of a table:
one that adds a column at once does not, and old rows are then read with it.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from covetbackup.core.databases.mysql.server.connection import Connection

_COLUMNS = """
SELECT TABLE_NAME, ORDINAL_POSITION, COLUMN_NAME, COLUMN_DEFAULT, IS_NULLABLE, COLUMN_TYPE,
       CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, GENERATION_EXPRESSION
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s ORDER BY 1, 2
"""
# No counters (sizes, row estimates, AUTO_INCREMENT), which change with every row.
_QUERIES = (
    "SELECT TABLE_NAME, TABLE_TYPE, coalesce(ENGINE, ''), coalesce(TABLE_COLLATION, ''),"
    " coalesce(CREATE_OPTIONS, '') FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
    "SELECT TABLE_NAME, VIEW_DEFINITION, DEFINER FROM information_schema.VIEWS"
    " WHERE TABLE_SCHEMA = %s",
    "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS"
    " WHERE TRIGGER_SCHEMA = %s",
    "SELECT ROUTINE_TYPE, ROUTINE_NAME, LAST_ALTERED FROM information_schema.ROUTINES"
    " WHERE ROUTINE_SCHEMA = %s",
    "SELECT EVENT_NAME, LAST_ALTERED FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s",
)


@dataclass(frozen=True, slots=True)
class SchemaFingerprint:
    """Digests of each table's columns, and of all other definitions."""

    columns: Mapping[str, str]
    rest: str

    def altered(self, later: SchemaFingerprint) -> list[str]:
        """Return the tables of both whose columns differ `later`."""
        return [
            table
            for table, columns in self.columns.items()
            if later.columns.get(table, columns) != columns
        ]


def read_fingerprint(connection: Connection, database: str) -> SchemaFingerprint:
    """Return the fingerprint of `database` as it is now."""
    columns: dict[str, str] = {}
    for table, *facts in connection.rows(_COLUMNS, [database]):
        columns[table] = _digest([columns.get(table, ""), repr(facts)])
    # Sorted here: the server's order of equal names depends on its collations.
    rows = [sorted(map(repr, connection.rows(query, [database]))) for query in _QUERIES]
    return SchemaFingerprint(columns, _digest(map(repr, rows)))


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()
