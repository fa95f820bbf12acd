"""Long statements of a connection in a thread, ended by asking the server to cancel them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg

from covetbackup.core.databases.background import Background
from covetbackup.core.databases.postgresql.server.connection import Connection

T = TypeVar("T")
_CANCEL_SECONDS = 5


def in_background(connection: Connection, work: Callable[[Callable[[], bool]], T]) -> Background[T]:
    def cancel() -> None:
        try:
            connection.cancel_safe(timeout=_CANCEL_SECONDS)
        except psycopg.Error:
            pass  # the server is gone, and the thread will notice

    return Background(work, interrupt=cancel)
