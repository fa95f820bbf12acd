"""Access of one operation to its server: connections and client programs.

They share one application name, by which all sessions of the operation are found and ended.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    connect,
    tool_environment,
)
from covetbackup.core.databases.postgresql.server.maintenance import connect_maintenance
from covetbackup.core.errors import CovetError
from covetbackup.core.stream.command import Environment
from covetbackup.core.stream.secret import Secret, SecretFile

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """The connections and client programs of one operation.

    `application` is the name under which the server lists all sessions of the operation.
    """

    settings: PostgresSettings
    password: Secret | None
    application: str

    def connect(self) -> Connection:
        """Open a connection; raise as `connection.connect` does."""
        return connect(self.settings, self.password, application=self.application)

    def connect_maintenance(self) -> Connection:
        """Open a maintenance connection; raise as `maintenance.connect_maintenance` does."""
        return connect_maintenance(self.settings, self.password, application=self.application)

    def environment(self, major: int) -> dict[str, str | SecretFile]:
        """Return the environment of a client program for a server of this major version."""
        return tool_environment(
            self.settings, self.password, application=self.application, major=major
        )

    @property
    def secrets(self) -> list[Secret]:
        """Return what must not appear in the output of a client program."""
        return [] if self.password is None else [self.password]

    @contextmanager
    def sessions_ended_on_failure(self) -> Iterator[None]:
        """End the operation's sessions on the server if the context is left by an exception."""
        try:
            yield
        except BaseException:  # also a cancellation: its sessions would go on computing
            self.end_sessions()
            raise

    def end_sessions(self) -> None:
        """End the sessions that a failed or cancelled operation left on the server.

        A failure to do so is logged, not raised: that of the operation is on its way up already.
        """
        try:
            with self.connect() as connection:
                end_sessions(connection, self.application)
        except (CovetError, psycopg.Error) as failure:
            _log.warning("cannot end sessions application=%s %s", self.application, failure)


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A client program with the environment by which it reaches the server."""

    program: str
    environment: Environment
    secrets: Sequence[Secret]


def end_sessions(connection: Connection, application: str) -> None:
    """End the other sessions with this application name.

    A backend that computes does not notice that its client was killed until it next sends
    something.
    """
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = %s AND pid <> pg_backend_pid()",
        (application,),
    )
