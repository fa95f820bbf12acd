"""Whether the server's host still answers, told by a connection that rests.

The kernel can be asked to give up a connection whose data is not taken in time, but then it also
gives up one whose server answers and only rests: a COPY of 20 s into a table with a slow check was
cut off after 4 s so. Where much is sent, that limit is off; a resting connection has no such data
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
    ConnectionSettings,
    unsent_limit,
)
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.core.progress import Progress


@dataclass(frozen=True, slots=True)
class LivenessProbe:
    """Of `connection`, which nobody uses most of the time."""

    connection: Connection
    settings: ConnectionSettings

    def check(self) -> None:
        """To be called while something is waited for. Takes no time. Raises `DatabaseUnavailable`
        once the host has been silent for a minute."""
        if self._is_lost():
            raise DatabaseUnavailable(
                f"lost the connection to {self.settings}: its host does not answer any more",
                "is the network between here and the server whole?",
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
    """A `Progress` that checks the pulse each time it is told of some."""

    progress: Progress
    pulse: LivenessProbe

    def phase(self, name: str, total: int | None = None) -> None:
        self.progress.phase(name, total)

    def advance(self, count: int) -> None:
        self.pulse.check()
        self.progress.advance(count)

    def note(self, text: str) -> None:
        self.progress.note(text)


def disable_send_timeout(connection: Connection) -> None:
    """From now on the server may take its time for what is sent; somebody feels its pulse."""
    _limit_unsent(connection, 0)


def enable_send_timeout(connection: Connection) -> None:
    _limit_unsent(connection, unsent_limit())


def _limit_unsent(connection: Connection, milliseconds: int) -> None:
    with (
        suppress(OSError),  # a socket file has no such limit
        socket.socket(fileno=os.dup(connection.fileno())) as same,
    ):
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
