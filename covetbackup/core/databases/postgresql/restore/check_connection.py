"""Connections of checks and replacements, named so on the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from covetbackup.core.databases.postgresql.restore import scratch
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    ConnectionSettings,
    connect,
    translated,
)
from covetbackup.core.stream.secret import Secret

_APPLICATION = "covetbackup preflight"


@contextmanager
def maintenance(settings: ConnectionSettings, password: Secret | None) -> Iterator[Connection]:
    """A connection from which databases can be created and renamed. Raises `CovetError`, also for
    what the driver raises inside."""
    with (
        translated(settings),
        scratch.connect_maintenance(settings, password, application=_APPLICATION) as connection,
    ):
        yield connection


@contextmanager
def database(settings: ConnectionSettings, password: Secret | None) -> Iterator[Connection]:
    """As `maintenance`, to the database of `settings`."""
    with (
        translated(settings),
        connect(settings, password, application=_APPLICATION) as connection,
    ):
        yield connection
