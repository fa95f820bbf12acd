"""Connections for work outside the database itself: creating, renaming and checking databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    connect,
    translated,
)
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.core.stream.secret import Secret

MAINTENANCE_DATABASES = ("postgres", "template1")
_APPLICATION = "covetbackup preflight"


def connect_maintenance(
    settings: PostgresSettings, password: Secret | None, *, application: str
) -> Connection:
    """Open a connection from which databases can be created and renamed.

    It is to "postgres", or to "template1" where that does not exist. Raises as `connect` does.
    """
    for database in MAINTENANCE_DATABASES[:-1]:
        try:
            return connect(settings.on(database), password, application=application)
        except DatabaseUnavailable as error:
            if f'database "{database}" does not exist' not in error.details:
                raise
    return connect(settings.on(MAINTENANCE_DATABASES[-1]), password, application=application)


@contextmanager
def maintenance_connection(
    settings: PostgresSettings, password: Secret | None
) -> Iterator[Connection]:
    """Open a maintenance connection for a check or a replacement, closed with the context.

    Raises `CovetError`, also for what the driver raises inside.
    """
    with (
        translated(settings),
        connect_maintenance(settings, password, application=_APPLICATION) as connection,
    ):
        yield connection


@contextmanager
def database_connection(
    settings: PostgresSettings, password: Secret | None
) -> Iterator[Connection]:
    """Open a connection to the database of `settings`, as `maintenance_connection` does."""
    with (
        translated(settings),
        connect(settings, password, application=_APPLICATION) as connection,
    ):
        yield connection
