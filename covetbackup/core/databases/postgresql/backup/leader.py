"""The connection of the leader, which has locked every table, used by one thread at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

from covetbackup.core.databases.postgresql.backup.readers import set_encoding
from covetbackup.core.databases.postgresql.server.connection import Connection

_TICK_SECONDS = 0.5
Reading = Callable[[Connection], Iterator[bytes]]
"""A function that yields what it reads of a connection."""


class Leader:
    """The leader's connection, for tables that only it can read.

    `is_free` waits, the given seconds at most, for what else runs on the connection to end.
    """

    def __init__(self, connection: Connection, is_free: Callable[[float], bool]) -> None:
        self._connection = connection
        self._is_free = is_free
        self._turn = Lock()
        self.encoding = connection.info.parameter_status("server_encoding") or "UTF8"
        """The server's name for the encoding of the database."""
        self._names = connection.info.parameter_status("client_encoding") or "UTF8"
        self.codec = connection.info.encoding
        """Python's name for the encoding of names, until `read` reads rows."""

    def read(self, reading: Reading) -> Iterator[bytes]:
        """Yield what `reading` yields, b"" while others use the connection."""
        while not self._turn.acquire(timeout=_TICK_SECONDS):
            yield b""
        try:
            while not self._is_free(_TICK_SECONDS):
                yield b""
            set_encoding(self._connection, self.encoding)
            yield from reading(self._connection)
            set_encoding(self._connection, self._names)
        finally:
            self._turn.release()
