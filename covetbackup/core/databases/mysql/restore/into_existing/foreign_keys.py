"""Foreign keys and triggers of the tables that rows are restored into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from covetbackup.core.databases.mysql.backup.privileges import granted
from covetbackup.core.databases.mysql.server.connection import Connection, quoted
from covetbackup.core.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class MysqlForeignKey:
    """A foreign key of `table` to the table `to` in the database `place`; `columns` are pairs."""

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


def keys_of(connection: Connection, database: str, tables: Sequence[str]) -> list[MysqlForeignKey]:
    """Return the foreign keys that rows of `tables` must satisfy."""
    found: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for key, table, place, to, column, other in connection.rows(_KEYS, [database]):
        if table in tables:
            found.setdefault((key, table, place, to), []).append((column, other))
    return [
        MysqlForeignKey(table, key, place, to, tuple(columns))
        for (key, table, place, to), columns in found.items()
    ]


def parents_first(
    database: str, tables: Sequence[str], found: Sequence[MysqlForeignKey]
) -> list[str] | None:
    """Return `tables` in an order in which no row comes before one that it may refer to.

    The order is that of the foreign keys `found`; None if there is none, as for a table that refers
    to itself.
    """
    parents: dict[str, set[str]] = {table: set() for table in tables}
    for key in found:
        if key.place == database and key.to in parents:
            parents[key.table].add(key.to)
    try:
        return list(TopologicalSorter(parents).static_order())
    except CycleError:
        return None


def refuse_broken(
    connection: Connection, database: str, tables: Sequence[str], *, stop: Callable[[], bool]
) -> None:
    """Raise `DatabaseError` if a row of `tables` refers to one that does not exist.

    Until the transaction ends, no row that is referred to can be deleted. Ends early when `stop`
    returns true.
    """
    for key in keys_of(connection, database, tables):
        if stop():
            return
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
                f"rows of {key.table}, added now or there before, refer to rows that {key.to} does"
                f" not have: foreign key {key.name}",
                f"add the rows of {key.to} as well; if rows that were there before are broken,"
                " nothing can be added until they are mended or removed",
            )


UNCHECKED = (
    "the tables refer to each other or to themselves, so foreign keys are not kept while rows are"
    " added: what triggers write or delete may break them, and nothing is cascaded"
)
"""What follows if there are triggers, and no order of the tables."""

_TRIGGERS = """
SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE TRIGGER_SCHEMA = %s AND EVENT_MANIPULATION = 'INSERT' ORDER BY 1, 2
"""


def triggers_of(
    connection: Connection, database: str, tables: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the triggers, with their tables, that new rows of `tables` will fire.

    They are those that this account may see.
    """
    return [
        (table, trigger)
        for table, trigger in connection.rows(_TRIGGERS, [database])
        if table in tables
    ]


def may_see_triggers(connection: Connection, database: str) -> bool:
    """Else there may be some that `triggers_of` does not know."""
    return "TRIGGER" in granted(connection, database).here
