"""The database that a restore fills, under its scratch name and then its own, and its sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from psycopg import sql

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.postgresql.backup.snapshot import prepare_session
from covetbackup.core.databases.postgresql.server.access import ServerAccess
from covetbackup.core.databases.postgresql.server.background import in_background
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    translated,
)

T = TypeVar("T")


class RestoredDatabase:
    """The database `name`, which the rename changes, on the server of `access`.

    `role` is the role that shall own all, "" if the restoring role does not act as another.
    """

    def __init__(self, access: ServerAccess, name: str, *, role: str) -> None:
        self.name = name
        self._access = access
        self._role = role

    @property
    def settings(self) -> PostgresSettings:
        """The connection settings of the database under its name of now."""
        return self._access.settings.on(self.name)

    def connect(self) -> Connection:
        """Open a connection as the restoring role."""
        return replace(self._access, settings=self.settings).connect()

    def connect_as_owner(self) -> Connection:
        """Open a connection that acts as the role that shall own all, if there is one."""
        connection = self.connect()
        if self._role:
            try:
                connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self._role)))
            except BaseException:
                connection.close()
                raise
        return connection

    @contextmanager
    def in_background(
        self, work: Callable[[Connection, Callable[[], bool]], T]
    ) -> Iterator[BackgroundQuery[T]]:
        """Run `work` in a thread with a connection of its own, stopped with the context.

        It gets the connection, which reads values as a dump does, and a function that tells whether
        to stop between two statements.
        """
        with translated(self.settings), self.connect_as_owner() as connection:
            prepare_session(connection)
            running = in_background(connection, lambda stop: work(connection, stop))
            try:
                yield running
            finally:
                running.stop()
