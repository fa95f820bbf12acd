"""The dashboard's own catalog on a PostgreSQL server: never replaced or changed by a restore."""

from __future__ import annotations

from backups.models import Server
from backups.own_catalog import catalog_on
from covetbackup.command_line import command
from covetbackup.core.errors import Conflict
from restores.targets.postgresql_connection import maintenance


def refuse_catalog(server: Server, name: str, catalog: str) -> None:
    """Raise `Conflict` if the database `name` of `server` lies at `catalog`, where this dashboard
    has its own; errors of the server as `maintenance` raises them."""
    if not catalog.startswith("postgresql:"):
        return
    with maintenance(server) as connection:
        is_own = catalog_on(connection, catalog) == name
    if is_own:
        raise Conflict(
            f"{name} is the catalog of this dashboard, which cannot replace or change it itself",
            "set up a fresh installation with an empty catalog and fill it with "
            f"{command('rebuild_catalog')}; or restore under another name and start a dashboard "
            "there",
        )
