"""A liveness probe: a connection that is used every 15 s, to learn whether the server is reachable.

The client programs of MySQL and MariaDB set no timeouts on their connections. One whose peer fell
silent waits for two hours, as long as the kernel does, and nothing tells it from one that works on
a long statement. Our own connections notice (see `connection`), if a statement is sent on them.

Conversely a server would wait for hours for an operation that was cut off. It hears from this
connection as long as the operation lives; so the lock on a scratch database, which is held here, is
released two minutes after its restore has fallen silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread

import pymysql

from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.connection import Connection, connect, translated
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.core.stream.secret import Secret

PING_SECONDS = 15.0
SILENCE_SECONDS = 120
"""The server ends the session after that much silence."""


@contextmanager
def keep_alive(
    settings: MysqlSettings, password: Secret | None, *, lock_name: str = ""
) -> Iterator[KeepAlive]:
    """Probe the server while the context lasts, and hold the lock of a scratch database.

    `lock_name` is the name of that database; "" for no lock.
    """
    with ExitStack() as stack:
        with translated(settings):
            connection = stack.enter_context(connect(settings, password))
            connection.execute(f"SET SESSION wait_timeout = {SILENCE_SECONDS}")
            if lock_name:
                scratch.hold(connection, lock_name)
        probe = KeepAlive(settings, connection)
        stack.callback(probe.stop)
        yield probe


class KeepAlive:
    """A thread that uses `connection` every 15 s, for all programs of one operation."""

    def __init__(self, settings: MysqlSettings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._ended = Event()
        self._error: pymysql.err.Error | None = None
        self._thread = Thread(target=self._ping, name="covet-keepalive", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._connection.interrupt()  # it may be waiting for an answer
        self._thread.join()

    def watch(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass a program's output through, and `check` whenever its source yields b"".

        A source does so while it waits.
        """
        for chunk in chunks:
            if not chunk:
                self.check()
            yield chunk

    def check_then(self, idle: Callable[[], None]) -> Callable[[], None]:
        """Return a function that calls `check` and then `idle`."""

        def both() -> None:
            self.check()
            idle()

        return both

    def check(self) -> None:
        """Raise `DatabaseUnavailable` once the server has been silent for 75 s.

        It takes no time, and is for moments in which no bytes flow.
        """
        if self._error is not None:
            raise DatabaseUnavailable(
                f"lost the connection to {self._settings}: the server does not answer any more",
                "is the network between this host and the server up?",
                details=str(self._error),
            )

    def _ping(self) -> None:
        try:
            while not self._ended.wait(PING_SECONDS):
                self._connection.execute("DO 0")
        except pymysql.err.Error as error:
            self._error = error
