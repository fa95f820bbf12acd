"""A connection to a database of a server, as checks and exchanges use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backups.engine_factory import connection_settings, server_password
from backups.models import Server
from covetbackup.core.databases.postgresql.restore import scratch
from covetbackup.core.databases.postgresql.server.connection import Connection, connect, translated

_APPLICATION = "covetbackup preflight"


@contextmanager
def maintenance(server: Server) -> Iterator[Connection]:
    """Raises `CovetError`, also for what the driver raises inside."""
    settings = connection_settings(server, server.maintenance_database or "postgres")
    with (
        translated(settings),
        scratch.connect_maintenance(
            settings, server_password(server), application=_APPLICATION
        ) as connection,
    ):
        yield connection


@contextmanager
def database(server: Server, name: str) -> Iterator[Connection]:
    """As `maintenance`, to the database `name`."""
    settings = connection_settings(server, name)
    with (
        translated(settings),
        connect(settings, server_password(server), application=_APPLICATION) as connection,
    ):
        yield connection
