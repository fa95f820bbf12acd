"""A server of the catalog as the target of a restore."""

from __future__ import annotations

from backups.catalog_location import location_of_catalog
from backups.engine_factory import refuse_path, server_engine, shown_address
from backups.models import Server
from covetbackup.command_line import command
from covetbackup.core.databases.location import is_same_location
from covetbackup.core.databases.registry import restore_features
from covetbackup.core.databases.restore_target import RestoreFeatures
from covetbackup.core.errors import Conflict


def features_of(server: Server) -> RestoreFeatures:
    """Return what restores to `server` can do."""
    return restore_features(server.kind)


def refuse_name(server: Server, name: str) -> None:
    """Raise `BadSetting` for a name that no new database of `server` may have. Contacts nothing."""
    features_of(server).refuse_name(name)
    refuse_path(server, name)


def connect_command(server: Server, name: str) -> str:
    """Return the shell command that connects to a database of `server`, without a password."""
    return features_of(server).connect_command(shown_address(server, name), server.version)


def refuse_catalog(server: Server, name: str, catalog: str) -> None:
    """Raise `Conflict` if the database `name` of `server` is at the location `catalog`.

    A restore never replaces or changes the dashboard's own catalog. No query goes to the catalog;
    the server is contacted only if one of its kind can hold it. Raises what `server_engine` and the
    engine raise.
    """
    if catalog.partition(":")[0] != server.kind:
        return
    if is_same_location(server_engine(server).target().location_of(name), catalog):
        raise Conflict(
            f"{name} is the catalog of this dashboard, which cannot replace or change it itself",
            "set up a fresh installation with an empty catalog and fill it with "
            f"{command('rebuild_catalog')}; or restore under another name and start a dashboard "
            "there",
        )


def refuse_own_catalog(server: Server, name: str) -> None:
    """Raise `Conflict` if a database is the catalog of this process; see `refuse_catalog`."""
    refuse_catalog(server, name, location_of_catalog())
