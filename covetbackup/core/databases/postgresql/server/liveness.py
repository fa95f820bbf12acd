"""The liveness probe: an idle connection that tells whether the server's host still answers.

The kernel can be asked to give up a connection whose data is not taken in time, but then it also
gives up one whose server answers and only pauses: a COPY of 20 s into a table with a slow check was
cut off after 4 s so. Where much is sent, that timeout is off; an idle connection has no such data
on its way, so keepalives alone decide, which are answered however busy the server is.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    send_timeout_ms,
)
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.core.progress import Progress


@dataclass(frozen=True, slots=True)
class LivenessProbe:
    """A probe by `connection`, which is idle most of the time."""

    connection: Connection
    settings: PostgresSettings

    def check(self) -> None:
        """Raise `DatabaseUnavailable` once the host has been silent for a minute.

        Takes no time: to be called often while other work waits.
        """
        if self._is_lost():
            raise DatabaseUnavailable(
                f"lost the connection to {self.settings}: its host does not answer any more",
                "is the network between here and the server interrupted?",
            )

    def _is_lost(self) -> bool:
        poll = select.poll()
        try:
            poll.register(self.connection.fileno(), 0)
        except psycopg.Error:  # closed, by an error that was seen elsewhere
            return True
        return bool(poll.poll(0))  # an error or a hang-up, which are always told


@dataclass(frozen=True, slots=True)
class ProgressWithLiveness:
    """A `Progress` that checks a liveness probe with each advance."""

    progress: Progress
    probe: LivenessProbe

    def phase(self, name: str, total: int | None = None) -> None:
        self.progress.phase(name, total)

    def advance(self, count: int) -> None:
        self.probe.check()
        self.progress.advance(count)

    def note(self, text: str) -> None:
        self.progress.note(text)


def disable_send_timeout(connection: Connection) -> None:
    """Let the server take its time for what is sent; a liveness probe must be checked meanwhile."""
    _set_send_timeout(connection, 0)


def enable_send_timeout(connection: Connection) -> None:
    """Undo `disable_send_timeout`."""
    _set_send_timeout(connection, send_timeout_ms())


def _set_send_timeout(connection: Connection, milliseconds: int) -> None:
    with (
        suppress(OSError),  # a socket file has no such limit
        socket.socket(fileno=os.dup(connection.fileno())) as same,
    ):
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
