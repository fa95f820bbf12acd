"""Our two metadata tables in databases that are swapped: the identity, and the plan of a swap.

A database of these servers is only a name, so its identity is the comment of a table that is
renamed with the others. Dumps and listings leave both out: a copy would be taken for the original.
"""

from __future__ import annotations

from uuid import uuid4

from covetbackup.core.databases.mysql.server.connection import Connection, quoted

IDENTITY = "covet_identity"
PLAN = "covet_exchange"
TABLES = (IDENTITY, PLAN)
_OPEN, _DONE = "open", "done"
_COMMENT = (
    "SELECT TABLE_COMMENT FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
)
_DATABASES = (
    "SELECT TABLE_SCHEMA FROM information_schema.TABLES"
    " WHERE TABLE_NAME = %s AND TABLE_COMMENT = %s ORDER BY 1"
)


def identity_of(connection: Connection, database: str) -> str | None:
    """Return the identity of `database`; None if it has none."""
    found = connection.value(_COMMENT, [database, IDENTITY])
    return None if found is None else str(found)


def set_identity(connection: Connection, database: str) -> None:
    """Give `database` a new identity."""
    # No index: object counts are compared with those of a backup.
    _create_table(connection, database, IDENTITY, "i int", str(uuid4()))


def drop_identity(connection: Connection, database: str) -> None:
    """Take its identity from `database`, if it has one."""
    connection.execute(f"DROP TABLE IF EXISTS {quoted(database)}.{IDENTITY}")


def find_by_identity(connection: Connection, identity: str) -> list[str]:
    """Return the names of the databases with that identity; more than one if it was copied."""
    return connection.strings(_DATABASES, [IDENTITY, identity])


def write_plan(connection: Connection, database: str, text: str) -> None:
    """Store the plan of a swap in `database`, durably."""
    _create_table(connection, database, PLAN, "plan longtext", _OPEN)
    table = f"{quoted(database)}.{PLAN}"
    connection.execute(f"INSERT INTO {table} VALUES ({connection.literal(text)})")
    # To the disk: with innodb_flush_log_at_trx_commit = 0 a crash of the server would take the row,
    # and with it the only record of the triggers that are dropped next.
    connection.execute(f"ALTER TABLE {table} FORCE")


def read_plan(connection: Connection, database: str) -> str | None:
    """Return the plan in `database`; None if there is none, or it was not written to its end."""
    if connection.value(_COMMENT, [database, PLAN]) is None:
        return None
    found = connection.value(f"SELECT plan FROM {quoted(database)}.{PLAN}")
    return None if found is None else str(found)


def open_plans(connection: Connection) -> list[str]:
    """Return the databases with a plan that was neither finished nor rolled back."""
    return connection.strings(_DATABASES, [PLAN, _OPEN])


def close_plan(connection: Connection, database: str) -> None:
    """Mark the plan in `database` as finished."""
    connection.execute(f"ALTER TABLE {quoted(database)}.{PLAN} COMMENT = '{_DONE}'")


def _create_table(
    connection: Connection, database: str, name: str, columns: str, comment: str
) -> None:
    connection.execute(
        f"CREATE TABLE {quoted(database)}.{name} ({columns}) ENGINE = InnoDB"
        f" CHARACTER SET utf8mb4 COMMENT = '{comment}'"
    )
