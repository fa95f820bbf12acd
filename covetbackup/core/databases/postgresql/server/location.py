"""The location of a database, whatever it and its server are called: OID and system identifier.

A copy of a database, by a dump or a template, has another location; a renamed one, or one behind
another address of the server, has the same. A copy of the server's whole data directory has it too.
"""

from __future__ import annotations

from collections.abc import Callable

from covetbackup.core.databases.location import is_same_location
from covetbackup.core.databases.postgresql.server.connection import Connection

_KIND = "postgresql"
_SYSTEM_IDENTIFIER = "SELECT system_identifier FROM pg_control_system()"
_MAY_ASK = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"


def location_text(oid: object, system: object) -> str:
    """Return "postgresql:OID:SYSTEM IDENTIFIER", without the latter where it is None."""
    return f"{_KIND}:{oid}:{system or ''}"


def location_of(connection: Connection, name: str) -> str:
    """Return the location of the database `name`, "" if there is none. Needs no right in it."""
    row = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return location_text(row[0], system_identifier(connection)) if row else ""


def system_identifier(connection: Connection) -> object:
    """Return the identifier of the server's cluster, None where the role may not ask for it."""
    may_ask = connection.execute(_MAY_ASK).fetchone()
    if not may_ask or not may_ask[0]:
        return None
    row = connection.execute(_SYSTEM_IDENTIFIER).fetchone()
    return row[0] if row else None


def location_asked(ask: Callable[[str], object]) -> str:
    """Return the location of the database that another driver is connected to.

    `ask` returns the first value of a query's answer, None if the role may not run it. Returns ""
    if it cannot be told.
    """
    oid = ask("SELECT oid FROM pg_database WHERE datname = current_database()")
    return location_text(oid, ask(_SYSTEM_IDENTIFIER)) if oid is not None else ""


def database_at(connection: Connection, location: str) -> str | None:
    """Return the name of the database at `location`, None if it is not on this server.

    No privilege in that database is needed.
    """
    kind, _, rest = location.partition(":")
    if kind != _KIND:
        return None
    oid = rest.partition(":")[0]
    row = connection.execute("SELECT datname FROM pg_database WHERE oid = %s", (oid,)).fetchone()
    if row is None:
        return None
    found = location_text(oid, system_identifier(connection))
    return str(row[0]) if is_same_location(found, location) else None
