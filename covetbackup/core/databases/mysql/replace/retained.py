"""Databases that are to be replaced, and those that were and are retained."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.backup.privileges import account_of, granted
from covetbackup.core.databases.mysql.inventory.options import is_read_only
from covetbackup.core.databases.mysql.inventory.tables import STATIONARY, list_tables
from covetbackup.core.databases.mysql.replace import metadata_tables
from covetbackup.core.databases.mysql.restore.scratch import PREFIX, UNFINISHED
from covetbackup.core.databases.mysql.server.connection import Connection, quoted
from covetbackup.core.databases.mysql.server.settings import SERVERS_OWN
from covetbackup.core.databases.retained import Session, retained_name
from covetbackup.core.errors import BadSetting, DatabaseError, ServerBusy

NAME_BYTES = 64
_NAMED = 20
_PRIVILEGES = (
    *("SELECT", "INSERT", "UPDATE", "CREATE", "ALTER", "DROP", "LOCK TABLES", "TRIGGER", "EVENT"),
    *("CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE"),
)
_EXAMPLE = "_replaced_20260101_000000"


def refuse_irreplaceable(connection: Connection, target: str) -> None:
    """Raise `BadSetting` or `DatabaseError` unless `target` exists and may be replaced here."""
    if target.lower() in SERVERS_OWN or target.startswith(PREFIX):
        raise BadSetting(
            f"database {target!r} belongs to the server itself and cannot be replaced",
            "restore under a new name",
        )
    if not _exists(connection, target):
        raise BadSetting(
            f"there is no database {target!r} to be replaced", "restore it as a new database"
        )
    listing = list_tables(connection, target)
    if UNFINISHED in listing.names:
        raise DatabaseError(
            f"a restore into {target!r} has not ended", "let it end, or run the cleanup"
        )
    stationary = [table.name for table in listing.tables if not table.can_change_database]
    if stationary:
        raise BadSetting(
            f"{target!r} cannot be replaced: its {STATIONARY} tables cannot move to another"
            f" database: {', '.join(stationary[:_NAMED])}",
            "restore under a new name",
        )
    if is_read_only(connection, target):
        raise DatabaseError(
            f"database {target!r} is read-only, so it cannot be replaced",
            f"run ALTER DATABASE {quoted(target)} READ ONLY = 0",
        )
    _refuse_without_rights(connection, target)
    _refuse_external_references(connection, target)


def refuse_stationary(expected: Inventory) -> None:
    """Raise `BadSetting` if the backup has tables that cannot be renamed into another database."""
    if STATIONARY in json.loads((expected.settings or {}).get("engines", "{}")):
        raise BadSetting(
            f"the backup has {STATIONARY} tables, which cannot move to another database",
            "restore under a new name",
        )


def _refuse_without_rights(connection: Connection, target: str) -> None:
    for name, pattern in (
        (target, quoted(target.replace("_", "\\_").replace("%", "\\%"))),
        (_name_stem(target) + _EXAMPLE, _retained_pattern(target)),
    ):
        rights = granted(connection, name).here
        missing = [] if "ALL PRIVILEGES" in rights else [r for r in _PRIVILEGES if r not in rights]
        if missing:
            account = account_of(connection)
            raise DatabaseError(
                f"{account} may not replace {target!r}: it lacks {', '.join(missing)} on {pattern}",
                f"run as an administrator: GRANT {', '.join(_PRIVILEGES)} ON {pattern}.*"
                f" TO {account};",
            )


def _name_stem(target: str) -> str:
    return target[: NAME_BYTES - len(_EXAMPLE)]


def _retained_pattern(target: str) -> str:
    """Return the pattern of all names that `target` can be retained under, as in a GRANT."""
    escaped = _name_stem(target).replace("_", "\\_").replace("%", "\\%")
    return quoted(f"{escaped}\\_replaced\\_%")


def _refuse_external_references(connection: Connection, target: str) -> None:
    found = connection.strings(_REFERENCES, [target, target])
    if found:
        raise DatabaseError(
            f"tables of other databases refer to {target!r}: {', '.join(found[:20])}",
            "their foreign keys would follow the old tables; drop them first",
        )


_REFERENCES = """
SELECT DISTINCT concat(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.KEY_COLUMN_USAGE
WHERE REFERENCED_TABLE_SCHEMA = %s AND TABLE_SCHEMA <> %s ORDER BY 1
"""


def _exists(connection: Connection, name: str) -> bool:
    query = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
    return connection.value(query, [name]) is not None


def free_retained_name(connection: Connection, target: str, now: datetime) -> str:
    """Return the name of `target` once it is replaced at the moment `now`."""
    return retained_name(target, now, limit=NAME_BYTES, is_taken=lambda n: _exists(connection, n))


def identity_of(connection: Connection, name: str) -> str | None:
    """Return the identity of the database `name`, None if it does not exist.

    It stays the same when the tables are renamed into another database, and no other database ever
    has it. A database without a stored identity gets a new value each time, so that it is never
    taken for another.
    """
    if not _exists(connection, name):
        return None
    identity = metadata_tables.identity_of(connection, name)
    if identity is None or len(metadata_tables.find_by_identity(connection, identity)) > 1:
        return f"unknown-{uuid4()}"
    return identity


def find_by_identity(connection: Connection, identity: str) -> str | None:
    """Return the name that the database of that identity has now; None if it is gone."""
    found = metadata_tables.find_by_identity(connection, identity)
    return found[0] if len(found) == 1 else None


def sessions_in(connection: Connection, name: str) -> list[Session]:
    """Return the sessions whose default database is `name`, the longest in its state first.
    Without the privilege PROCESS a server shows only those of the same account."""
    now = datetime.now(UTC)
    return [
        Session(user, "", host, state, now - timedelta(seconds=max(0, int(seconds or 0))))
        for user, host, state, seconds in connection.rows(_SESSIONS, [name])
    ]


_SESSIONS = """
SELECT USER, coalesce(HOST, ''), lower(coalesce(COMMAND, '')), TIME
FROM information_schema.PROCESSLIST WHERE DB = %s AND ID <> CONNECTION_ID() ORDER BY TIME DESC, ID
"""


def drop_retained(connection: Connection, name: str) -> None:
    """Drop a retained database. Raises `ServerBusy` if a session uses it."""
    sessions = sessions_in(connection, name)
    if sessions:
        raise ServerBusy(
            f"database {name!r} is in use by {', '.join(sorted({one.user for one in sessions}))}",
            "end their sessions, and try again",
        )
    connection.execute(f"DROP DATABASE {quoted(name)}")
