"""The dashboard's own catalog among the databases of a PostgreSQL server, if it is one of them."""

from __future__ import annotations

from backups.catalog_location import SYSTEM, database_place, is_same
from covetbackup.core.databases.postgresql.server.connection import Connection


def catalog_on(connection: Connection, catalog: str) -> str | None:
    """Return the name of the database that lies at `catalog`, a place as `place_of_catalog` tells
    it. Needs no right in that database."""
    kind, _, rest = catalog.partition(":")
    if kind != "postgresql":
        return None
    oid = rest.partition(":")[0]
    row = connection.execute("SELECT datname FROM pg_database WHERE oid = %s", (oid,)).fetchone()
    if row is None or not is_same(database_place(oid, _system(connection)), catalog):
        return None
    return str(row[0])


def _system(connection: Connection) -> object:
    """None where the role may not ask for it."""
    may_ask = connection.execute(_MAY_ASK).fetchone()
    if not may_ask or not may_ask[0]:
        return None
    row = connection.execute(SYSTEM).fetchone()
    return row[0] if row else None


_MAY_ASK = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
