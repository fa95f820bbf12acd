"""Long statements of a connection in a thread, which a second connection can end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pymysql

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.mysql.server.connection import Connection, connect
from covetbackup.core.errors import CovetError
from covetbackup.core.stream.secret import Secret

T = TypeVar("T")


def in_background(
    connection: Connection, password: Secret | None, work: Callable[[Callable[[], bool]], T]
) -> BackgroundQuery[T]:
    """Run `work` on `connection` in a thread; to stop it, a second connection kills its statement.

    `work` gets a function that tells whether it should stop between two statements.
    """

    def kill() -> None:
        try:
            with connect(connection.settings, password) as other:
                other.execute(f"KILL QUERY {connection.id}")
        except (CovetError, pymysql.err.Error):
            pass  # the server is gone, and the thread will notice

    return BackgroundQuery(work, interrupt=kill)
