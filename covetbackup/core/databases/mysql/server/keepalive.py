"""A connection that is made to answer all the time: whether the server can be reached at all.

The client programs of MySQL and MariaDB set no limits on their connections. One whose peer fell
silent waits for two hours, as long as the kernel does, and nothing tells it from one that works on
a long statement. Our own connections notice (see `connection`), if something is said on them.

The other way round it is the server that would wait for hours for an operation that is cut off.
Here it hears often from whoever is alive; so the lock on a scratch database, which is held here, is
free two minutes after its restore has fallen silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event, Thread

import pymysql

from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.connection import connect, translated
from covetbackup.core.databases.mysql.server.settings import ConnectionSettings
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.core.stream.secret import Secret

ASK_SECONDS = 15.0
SILENCE_SECONDS = 120
"""After that much of it the server ends the session."""


class KeepAlive:
    """For all programs of one operation. While its context lasts it holds the lock of the scratch
    database `holding`, if there is one."""

    def __init__(
        self, settings: ConnectionSettings, password: Secret | None, *, holding: str = ""
    ) -> None:
        self._settings = settings
        self._password = password
        self._holding = holding
        self._over = Event()
        self._error: pymysql.err.Error | None = None
        self._context = ExitStack()

    def __enter__(self) -> KeepAlive:
        with translated(self._settings), ExitStack() as stack:
            self._connection = stack.enter_context(connect(self._settings, self._password))
            self._connection.execute(f"SET SESSION wait_timeout = {SILENCE_SECONDS}")
            if self._holding:
                scratch.hold(self._connection, self._holding)
            thread = Thread(target=self._ask, name="covet-lifeline", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._connection.interrupt)  # it may be waiting for an answer
            stack.callback(self._over.set)
            self._context = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.close()

    def watch(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A filter for what a program writes, whose source gives b"" while it waits."""
        for chunk in chunks:
            if not chunk:
                self.check()
            yield chunk

    def watching(self, idle: Callable[[], None]) -> Callable[[], None]:
        """`check`, and then `idle`."""

        def both() -> None:
            self.check()
            idle()

        return both

    def check(self) -> None:
        """To be called while nothing moves. Takes no time. Raises `DatabaseUnavailable` once the
        server has been silent for 75 s."""
        if self._error is not None:
            raise DatabaseUnavailable(
                f"lost the connection to {self._settings}: the server does not answer any more",
                "is the network between here and the server whole?",
                details=str(self._error),
            )

    def _ask(self) -> None:
        try:
            while not self._over.wait(ASK_SECONDS):
                self._connection.execute("DO 0")
        except pymysql.err.Error as error:
            self._error = error
