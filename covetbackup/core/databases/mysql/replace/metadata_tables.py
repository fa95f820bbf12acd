"""Two tables of ours in databases that change places: who one is, and what is being done.

A database here is only a name, so its identity is the comment of a table that moves with the
others. Dumps and listings leave both out: a copy would be taken for the original.
"""

from __future__ import annotations

from uuid import uuid4

from covetbackup.core.databases.mysql.server.connection import Connection, quoted

IDENTITY = "covet_identity"
PLAN = "covet_exchange"
OURS = (IDENTITY, PLAN)
_OPEN, _DONE = "open", "done"
_COMMENT = (
    "SELECT TABLE_COMMENT FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
)
_DATABASES = (
    "SELECT TABLE_SCHEMA FROM information_schema.TABLES"
    " WHERE TABLE_NAME = %s AND TABLE_COMMENT = %s ORDER BY 1"
)


def mark_of(connection: Connection, database: str) -> str | None:
    found = connection.value(_COMMENT, [database, IDENTITY])
    return None if found is None else str(found)


def mark(connection: Connection, database: str) -> None:
    # No index: object counts are compared with those of a backup.
    _make(connection, database, IDENTITY, "i int", str(uuid4()))


def drop_identity(connection: Connection, database: str) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {quoted(database)}.{IDENTITY}")


def find_by_identity(connection: Connection, identity: str) -> list[str]:
    """The names of the databases of that identity; more than one if somebody copied it."""
    return connection.strings(_DATABASES, [IDENTITY, identity])


def write_plan(connection: Connection, database: str, text: str) -> None:
    _make(connection, database, PLAN, "plan longtext", _OPEN)
    place = f"{quoted(database)}.{PLAN}"
    connection.execute(f"INSERT INTO {place} VALUES ({connection.literal(text)})")
    # To the disk: with innodb_flush_log_at_trx_commit = 0 a crash of the server would take the row,
    # and with it all word of the triggers that are dropped next.
    connection.execute(f"ALTER TABLE {place} FORCE")


def read_plan(connection: Connection, database: str) -> str | None:
    """None if there is none, or it was not written to its end."""
    if connection.value(_COMMENT, [database, PLAN]) is None:
        return None
    found = connection.value(f"SELECT plan FROM {quoted(database)}.{PLAN}")
    return None if found is None else str(found)


def open_plans(connection: Connection) -> list[str]:
    """The databases with a plan that has been neither done nor undone."""
    return connection.strings(_DATABASES, [PLAN, _OPEN])


def close_plan(connection: Connection, database: str) -> None:
    connection.execute(f"ALTER TABLE {quoted(database)}.{PLAN} COMMENT = '{_DONE}'")


def _make(connection: Connection, database: str, name: str, columns: str, comment: str) -> None:
    connection.execute(
        f"CREATE TABLE {quoted(database)}.{name} ({columns}) ENGINE = InnoDB"
        f" CHARACTER SET utf8mb4 COMMENT = '{comment}'"
    )
