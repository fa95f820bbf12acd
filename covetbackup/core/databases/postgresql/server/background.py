"""Long statements of a connection in a thread, stopped by a cancel request to the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.postgresql.server.connection import Connection

T = TypeVar("T")
_CANCEL_SECONDS = 5


def in_background(
    connection: Connection, work: Callable[[Callable[[], bool]], T]
) -> BackgroundQuery[T]:
    """Run `work`, which uses `connection`, in a thread; stopping it cancels its statement.

    `work` gets a function that tells whether to stop between two statements.
    """

    def cancel() -> None:
        try:
            connection.cancel_safe(timeout=_CANCEL_SECONDS)
        except psycopg.Error:
            pass  # the server is gone, and the thread will notice

    return BackgroundQuery(work, interrupt=cancel)
