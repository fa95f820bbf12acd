"""Replacement of databases of a PostgreSQL server, over a connection of its own each time."""

from __future__ import annotations

from datetime import datetime

from covetbackup.core.databases.postgresql.replace import swap
from covetbackup.core.databases.postgresql.server.connection import PostgresSettings
from covetbackup.core.databases.postgresql.server.maintenance import maintenance_connection
from covetbackup.core.databases.retained import Session
from covetbackup.core.stream.secret import Secret


class PostgresReplacement:
    """A `Replacement`: databases are renamed, with all that is in them."""

    def __init__(self, settings: PostgresSettings, password: Secret | None) -> None:
        self._settings = settings
        self._password = password

    def refuse_irreplaceable(self, name: str) -> None:
        with maintenance_connection(self._settings, self._password) as connection:
            swap.refuse_irreplaceable(connection, name)

    def sessions(self, name: str) -> list[Session]:
        with maintenance_connection(self._settings, self._password) as connection:
            return swap.sessions_in(connection, name)

    def identity(self, name: str) -> str | None:
        with maintenance_connection(self._settings, self._password) as connection:
            return swap.identity_of(connection, name)

    def find_by_identity(self, identity: str) -> str | None:
        with maintenance_connection(self._settings, self._password) as connection:
            return swap.find_by_identity(connection, identity)

    def free_name(self, name: str, now: datetime) -> str:
        with maintenance_connection(self._settings, self._password) as connection:
            return swap.free_retained_name(connection, name, now)

    def swap(self, target: str, incoming: str, retained_as: str) -> list[str]:
        with (
            maintenance_connection(self._settings, self._password) as connection,
            maintenance_connection(self._settings, self._password) as second,
        ):
            swap.swap(connection, second, target=target, incoming=incoming, retained_as=retained_as)
        return []

    def was_swapped(self, target: str, retained_as: str) -> bool:
        return self.identity(retained_as) is not None

    def drop(self, name: str) -> None:
        with maintenance_connection(self._settings, self._password) as connection:
            swap.drop_retained(connection, name)
