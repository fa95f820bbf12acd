"""CHECK constraints that rows break.

Such rows were written with check_constraint_checks off, or before the constraint's functions or the
session's time zone were changed. They are restored as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pymysql

from covetbackup.core.databases.mysql.server.connection import Connection, quoted

UNCHECKED = "check_constraint_checks = 0"
"""Lets a session of MariaDB write what a backup holds. MySQL has nothing of the kind."""

_CHECKS = """
SELECT TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = %s ORDER BY 1, 2
"""


def broken(
    connection: Connection,
    database: str,
    *,
    tables: Collection[str] | None = None,
    stop: Callable[[], bool],
) -> list[str]:
    """Return the constraints, as table.name, that rows of `tables` (None: all) break.

    Reads each table with constraints; ends early when `stop` returns true.
    """
    if not connection.version.is_mariadb:
        return []
    found = []
    for table, name, clause in connection.rows(_CHECKS, [database]):
        if stop():
            break
        if (tables is None or table in tables) and _is_broken(connection, database, table, clause):
            found.append(f"{table}.{name}")
    return found


def _is_broken(connection: Connection, database: str, table: str, clause: str) -> bool:
    place = f"{quoted(database)}.{quoted(table)}"
    try:
        return bool(connection.rows(f"SELECT 1 FROM {place} WHERE NOT ({clause}) LIMIT 1"))
    except pymysql.err.DataError:
        return True  # the condition itself fails for a row, as writing it would
    except pymysql.err.OperationalError:
        return False  # it cannot be asked outside of the table


def note_of(names: Collection[str]) -> str:
    """Return the note about broken constraints, given their names."""
    return (
        f"rows break CHECK constraints and were restored as they were: {', '.join(sorted(names))};"
        " the next change of such a row will be refused"
    )
