"""A pool of connections that see the leader's snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from psycopg import errors, sql

from covetbackup.core.databases.postgresql.backup.snapshot import prepare_session
from covetbackup.core.databases.postgresql.server.connection import Connection


class TableBusy(Exception):
    """A session waits for a table that the leader has locked: another lock request waits behind."""


class Readers:
    """A pool that opens connections by `connect` as they are needed.

    `snapshot` must live as long as they do; `encoding` is the database's own.
    """

    def __init__(self, connect: Callable[[], Connection], snapshot: str, encoding: str) -> None:
        self._connect = connect
        self._snapshot = snapshot
        self._encoding = encoding
        self._lock = Lock()
        self._idle: list[Connection] = []

    @contextmanager
    def acquire(self, tables: Sequence[bytes]) -> Iterator[Connection]:
        """Acquire a connection that has locked `tables` (quoted names) while in the context.

        Raises `TableBusy` when one of them cannot be locked at once. A connection whose use ended
        with an error, or early, is closed.
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._open()
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
        """Close the idle connections."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _open(self) -> Connection:
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
    """Lock `tables` (quoted names) or raise `TableBusy`.

    Waiting would be a deadlock that the server cannot see: the session queued before this one waits
    for the leader, and the leader for this one.
    """
    if not tables:
        return
    names = b", ".join(b"ONLY " + table for table in tables)
    try:
        connection.execute(lock_statement(names))
    except errors.LockNotAvailable as error:
        raise TableBusy from error


def lock_statement(names: bytes) -> bytes:
    """Return the statement that locks tables, a list of quoted names, or fails at once."""
    return b"LOCK TABLE %s IN ACCESS SHARE MODE NOWAIT" % names


def set_encoding(connection: Connection, encoding: str) -> None:
    """Set the client encoding; in that of the database nothing is converted, which could fail."""
    connection.execute(sql.SQL("SET client_encoding = {}").format(sql.Literal(encoding)))
