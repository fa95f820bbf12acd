"""What tables that rows are added to have beside columns: keys to others, and triggers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from covetbackup.core.databases.mysql.connection import Connection, quoted
from covetbackup.core.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Of `table`, to the table `to` in the database `place`; `columns` in pairs."""

    table: str
    name: str
    place: str
    to: str
    columns: tuple[tuple[str, str], ...]


_KEYS = """
SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, COLUMN_NAME,
       REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = %s AND REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION
"""


def keys_of(connection: Connection, database: str, tables: Sequence[str]) -> list[ForeignKey]:
    """Those that rows of `tables` must obey."""
    found: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for key, table, place, to, column, other in connection.rows(_KEYS, [database]):
        if table in tables:
            found.setdefault((key, table, place, to), []).append((column, other))
    return [
        ForeignKey(table, key, place, to, tuple(columns))
        for (key, table, place, to), columns in found.items()
    ]


def refuse_broken(connection: Connection, database: str, tables: Sequence[str]) -> None:
    """Raises `DatabaseError` if a row of `tables` refers to one that is not there. Until the
    transaction ends, no row that is referred to can go."""
    for key in keys_of(connection, database, tables):
        pairs = [(f"c.{quoted(mine)}", f"p.{quoted(other)}") for mine, other in key.columns]
        equal = " AND ".join(f"{mine} = {other}" for mine, other in pairs)
        given = " AND ".join(f"{mine} IS NOT NULL" for mine, _ in pairs)
        mine, theirs = (database, key.table), (key.place, key.to)
        query = (
            f"SELECT 1 FROM {'.'.join(map(quoted, mine))} c"
            f" LEFT JOIN {'.'.join(map(quoted, theirs))} p ON {equal}"
            f" WHERE {given} AND {pairs[0][1]} IS NULL LIMIT 1"
            # Else a row that others have deleted, and not committed yet, would still be seen.
            " LOCK IN SHARE MODE"
        )
        if connection.value(query) is not None:
            raise DatabaseError(
                f"rows of {key.table} refer to rows that {key.to} does not have: foreign key"
                f" {key.name}",
                f"add the rows of {key.to} as well",
            )


_TRIGGERS = """
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA = %s AND EVENT_MANIPULATION = 'INSERT' ORDER BY 1, 2
"""


def triggers_of(
    connection: Connection, database: str, tables: Sequence[str]
) -> list[tuple[str, str]]:
    """The triggers that new rows of `tables` will set off, with their tables, as far as this
    account may see them."""
    return [
        (table, trigger)
        for table, trigger in connection.rows(_TRIGGERS, [database])
        if table in tables
    ]
