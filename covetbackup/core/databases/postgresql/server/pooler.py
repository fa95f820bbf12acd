"""Recognition of a connection pooler that gives a session to other clients after a transaction.

What is SET through it stays in sessions that applications use next: an empty search path, no
row-level security, other time limits. So it has to be known before the first SET. A pooler in
session mode gives the whole session and cleans it up.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg

from covetbackup.core.errors import BadSetting

Connection = psycopg.Connection[tuple[Any, ...]]

_ROUNDS = 3
_ANSWER_SECONDS = 3.0
"""A pooler in session mode with one session lets a second client wait."""


def refuse_transaction_pooler(
    connection: Connection, reconnect: Callable[[], Connection], *, where: str
) -> None:
    """Raise `BadSetting` when transactions of `connection` run in sessions that others share.

    `reconnect` opens a second connection to the same address, which messages call `where`.
    Nothing is set in any session.
    """
    # The process named when connecting is the server's own, unless a pooler made it up.
    pid = _backend_pid(connection)
    if pid == connection.info.backend_pid:
        return
    with closing(reconnect()) as second:
        if _shares_sessions(connection, second, pid):
            raise BadSetting(
                f"{where} is a connection pooler in transaction mode: what a backup sets would"
                " stay in the sessions of other clients",
                "give the host and port of the PostgreSQL server itself, or of a pool in session"
                " mode",
            )


def _shares_sessions(first: Connection, second: Connection, pid: int) -> bool:
    """Return whether two clients see each other's backend process.

    In sessions of their own, each sees one process, and never that of the other.
    """
    for _ in range(_ROUNDS):
        seen = _backend_pid_soon(second)
        if seen is None:  # it waits for a session: the first keeps its own
            return False
        if seen == pid or _backend_pid(first) != pid:
            return True
    return False


def _backend_pid(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def _backend_pid_soon(connection: Connection) -> int | None:
    """Return the pid of the backend, None when no answer comes for 3 s."""
    pgconn = connection.pgconn
    pgconn.send_query(b"SELECT pg_backend_pid()")
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    while pgconn.is_busy():
        if not poll.poll(_ANSWER_SECONDS * 1000):
            return None
        pgconn.consume_input()
    result = pgconn.get_result()
    value = result.get_value(0, 0) if result is not None and result.ntuples else None
    while pgconn.get_result() is not None:
        pass
    return None if value is None else int(value)
