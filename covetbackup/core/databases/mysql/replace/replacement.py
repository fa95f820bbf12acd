"""Replacing databases of a MySQL or MariaDB server, over a connection of its own each time."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from covetbackup.core.databases.mysql.replace import retained, swap
from covetbackup.core.databases.mysql.server.connection import connect, server_connection
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.retained import Session
from covetbackup.core.stream.secret import Secret


class MysqlReplacement:
    """A `Replacement` that renames tables from one database into another."""

    def __init__(self, settings: MysqlSettings, password: Secret | None) -> None:
        self._settings = settings
        self._password = password

    def refuse_irreplaceable(self, name: str) -> None:
        with server_connection(self._settings, self._password) as connection:
            retained.refuse_irreplaceable(connection, name)

    def sessions(self, name: str) -> list[Session]:
        with server_connection(self._settings, self._password) as connection:
            return retained.sessions_in(connection, name)

    def identity(self, name: str) -> str | None:
        with server_connection(self._settings, self._password) as connection:
            return retained.identity_of(connection, name)

    def find_by_identity(self, identity: str) -> str | None:
        with server_connection(self._settings, self._password) as connection:
            return retained.find_by_identity(connection, identity)

    def free_name(self, name: str, now: datetime) -> str:
        with server_connection(self._settings, self._password) as connection:
            return retained.free_retained_name(connection, name, now)

    def swap(self, target: str, incoming: str, retained_as: str) -> list[str]:
        with server_connection(self._settings, self._password) as connection:
            return swap.swap_databases(
                connection,
                partial(connect, connection.settings, self._password),
                target=target,
                incoming=incoming,
                retained_as=retained_as,
            )

    def was_swapped(self, target: str, retained_as: str) -> bool:
        with server_connection(self._settings, self._password) as connection:
            swap.recover(connection)
        return self.identity(retained_as) is not None

    def drop(self, name: str) -> None:
        with server_connection(self._settings, self._password) as connection:
            retained.drop_retained(connection, name)
