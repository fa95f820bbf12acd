"""The dashboard's own catalog among the databases of a PostgreSQL server, if it is one of them."""

from __future__ import annotations

from backups.catalog_location import is_same
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.postgresql.server.location import location_text, system_identifier


def catalog_on(connection: Connection, catalog: str) -> str | None:
    """Return the name of the database that lies at `catalog`, a place as `place_of_catalog` tells
    it. Needs no right in that database."""
    kind, _, rest = catalog.partition(":")
    if kind != "postgresql":
        return None
    oid = rest.partition(":")[0]
    row = connection.execute("SELECT datname FROM pg_database WHERE oid = %s", (oid,)).fetchone()
    if row is None or not is_same(location_text(oid, system_identifier(connection)), catalog):
        return None
    return str(row[0])
