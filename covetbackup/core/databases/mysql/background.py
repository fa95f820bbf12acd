"""Long statements in a thread, so that the caller can wait, report progress and cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import pymysql

from covetbackup.core.databases.mysql.connection import Connection, connect
from covetbackup.core.errors import CovetError
from covetbackup.core.stream.secret import Secret

T = TypeVar("T")
_TICK_SECONDS = 0.25


class Background(Generic[T]):
    """`work` running on `connection`, which nobody else may use until `result` or `stop` returned.

    `work` gets a function that tells whether it should stop between two statements.
    """

    def __init__(
        self,
        connection: Connection,
        password: Secret | None,
        work: Callable[[Callable[[], bool]], T],
    ) -> None:
        self._connection = connection
        self._password = password
        self._work = work
        self._stopped = threading.Event()
        self._results: list[T] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="covet-mysql", daemon=True)
        self._thread.start()

    def result(self, *, waiting: Callable[[], None]) -> T:
        """What `work` returned. `waiting` is called a few times a second, may raise `Cancelled`.

        Raises what `work` raised.
        """
        while self._thread.is_alive():
            self._thread.join(_TICK_SECONDS)
            waiting()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def stop(self) -> None:
        """End the work, on the server too. Idempotent."""
        self._stopped.set()
        while self._thread.is_alive():
            self._kill_statement()
            self._thread.join(_TICK_SECONDS)

    def _kill_statement(self) -> None:
        # Again and again: a request that arrives between two statements kills nothing.
        try:
            with connect(self._connection.settings, self._password) as other:
                other.execute(f"KILL QUERY {self._connection.id}")
        except (CovetError, pymysql.err.Error):
            pass  # the server is gone, and the thread will notice

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._stopped.is_set))
        except Exception as error:  # handed to the thread that asks for the result
            self._error = error
