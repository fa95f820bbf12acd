"""Connections that see the leader's snapshot, each lent to one thread at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from psycopg import errors, sql

from covetbackup.core.databases.postgresql.backup.snapshot import prepare_session
from covetbackup.core.databases.postgresql.server.connection import Connection


class TableBusy(Exception):
    """Somebody waits for a table that only the leader has locked: who asks now waits behind."""


class Readers:
    """Opens connections as they are needed. `snapshot` must live as long as they do."""

    def __init__(self, connect: Callable[[], Connection], snapshot: str, encoding: str) -> None:
        self._connect = connect
        self._snapshot = snapshot
        self._encoding = encoding
        self._lock = Lock()
        self._idle: list[Connection] = []

    @contextmanager
    def lent(self, tables: Sequence[bytes]) -> Iterator[Connection]:
        """A connection that has locked `tables` (quoted names), until the context is left.

        Raises `TableBusy` when one of them is not to be had at once. A connection whose use ended
        with an error, or before its end, is closed.
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._opened()
        try:
            lock_at_once(connection, tables)
            yield connection
            connection.execute("ROLLBACK TO SAVEPOINT part")  # its locks go as well
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _opened(self) -> Connection:
        connection = self._connect()
        try:
            prepare_session(connection)
            set_encoding(connection, self._encoding)
            # One statement each: a snapshot cannot be set after the first query of a transaction.
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute(
                sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._snapshot))
            )
            connection.execute("SAVEPOINT part")
        except BaseException:
            connection.close()
            raise
        return connection


def lock_at_once(connection: Connection, tables: Sequence[bytes]) -> None:
    """Waiting would be a deadlock that the server cannot see: whoever stands before us waits for
    the leader, and the leader for us."""
    if not tables:
        return
    names = b", ".join(b"ONLY " + table for table in tables)
    try:
        connection.execute(lock_statement(names))
    except errors.LockNotAvailable as error:
        raise TableBusy from error


def lock_statement(names: bytes) -> bytes:
    return b"LOCK TABLE %s IN ACCESS SHARE MODE NOWAIT" % names


def set_encoding(connection: Connection, encoding: str) -> None:
    """Names and rows then go as they are stored: nothing is converted, and nothing can fail to."""
    connection.execute(sql.SQL("SET client_encoding = {}").format(sql.Literal(encoding)))
