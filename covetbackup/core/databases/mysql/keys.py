"""What tables that rows are added to have beside columns: keys to others, and triggers."""

from __future__ import annotations

from collections.abc import Sequence

from covetbackup.core.databases.mysql.connection import Connection, quoted
from covetbackup.core.errors import DatabaseError

_KEYS = """
SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, COLUMN_NAME,
       REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = %s AND REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION
"""


def refuse_broken(connection: Connection, database: str, tables: Sequence[str]) -> None:
    """Raises `DatabaseError` if a row of `tables` refers to one that is not there."""
    found: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for key, table, place, to, column, other in connection.rows(_KEYS, [database]):
        if table in tables:
            found.setdefault((key, table, place, to), []).append((column, other))
    for (key, table, place, to), columns in found.items():
        pairs = [(f"c.{quoted(mine)}", f"p.{quoted(other)}") for mine, other in columns]
        equal = " AND ".join(f"{mine} = {other}" for mine, other in pairs)
        given = " AND ".join(f"{mine} IS NOT NULL" for mine, _ in pairs)
        query = (
            f"SELECT 1 FROM {quoted(database)}.{quoted(table)} c LEFT JOIN"
            f" {quoted(place)}.{quoted(to)} p ON {equal} WHERE {given} AND {pairs[0][1]} IS NULL"
            " LIMIT 1"
        )
        if connection.value(query) is not None:
            raise DatabaseError(
                f"rows of {table} refer to rows that {to} does not have: foreign key {key}",
                f"add the rows of {to} as well",
            )


_TRIGGERS = """
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA = %s AND EVENT_MANIPULATION = 'INSERT' ORDER BY 1, 2
"""


def triggers_of(connection: Connection, database: str, tables: Sequence[str]) -> list[str]:
    """A line for each trigger that new rows of `tables` will set off."""
    return [
        f"trigger {trigger} of {table} runs for every row"
        for table, trigger in connection.rows(_TRIGGERS, [database])
        if table in tables
    ]
