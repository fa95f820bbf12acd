"""Metadata locks held around one statement of MariaDB that itself needs exclusive metadata locks.

MariaDB renames no table under LOCK TABLES, and any waiting session may get a lock that is released.
But a request for an exclusive lock (RENAME, FLUSH, CREATE TRIGGER) is served before all requests to
write, and among its like in the order of arrival. So each table is locked by a session of its own;
the statement is started and takes its locks in an order that is known; a session releases its table
only when the statement waits for it, and another one, which will lock the same name again, then
queues behind the statement. Writers are kept off until the outcome of the statement is known and
what has to follow it is done.

If this process dies, or the server ends its sessions, all of the locks are released.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.mysql.replace.swap_plan import TableName, name_sql
from covetbackup.core.databases.mysql.server.connection import Connection, code_of
from covetbackup.core.errors import CovetError

T = TypeVar("T")
Action = Callable[[Connection], list[str]]
"""Creates something in a session of its own; returns what could not be created, a line each."""

_POLL_SECONDS = 0.005
_CONSECUTIVE_POLLS = 3
"""A session that got what it waited for is shown as waiting until its thread runs again."""

_QUEUE_TIMEOUT_SECONDS = 600
"""For sessions behind the statement, which may wait its own time for each of many tables."""

_STATE_OF = "SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = %s"
_WAITING_STATE = "Waiting for table metadata lock"


@contextmanager
def metadata_lock_queue(
    connect: Callable[[], Connection], tables: Iterable[TableName]
) -> Iterator[MetadataLockQueue]:
    """Yield a queue for a statement that locks all `tables`.

    Its sessions are ended, and so its locks released, on exit. `connect` opens one session.
    """
    with ExitStack() as stack:
        watcher = stack.enter_context(connect())
        watcher.execute("SET SESSION lock_wait_timeout = 0")
        runner = stack.enter_context(connect())
        yield MetadataLockQueue(connect, tables, watcher=watcher, runner=runner, stack=stack)


class MetadataLockQueue:
    """The sessions that hold, or wait for, the metadata locks around one statement.

    `runner` runs the statement; `watcher`, which waits for no lock, observes the others; `stack`
    ends them.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        tables: Iterable[TableName],
        *,
        watcher: Connection,
        runner: Connection,
        stack: ExitStack,
    ) -> None:
        self.runner = runner
        self._watcher = watcher
        self._connect = connect
        self._order = sorted(set(tables), key=_rank)
        self._stack = stack
        self._held: dict[TableName, _LockSession] = {}
        self._queued: list[BackgroundQuery[list[str]]] = []

    def acquire(
        self,
        tables: Sequence[TableName],
        statements: Sequence[str],
        rollback: Callable[[Connection], object],
    ) -> None:
        """Lock `tables`, run `statements`, and keep each table locked by a session of its own.

        There is at least one table, and the statements need these locks. On a failure `rollback` is
        called before any other session gets a lock. LOCK TABLES is not what keeps them: it also
        locks the tables that keys and triggers refer to.
        """
        with self._connect() as first:
            first.execute(f"LOCK TABLES {', '.join(f'{name_sql(each)} WRITE' for each in tables)}")
            try:
                for statement in statements:
                    first.execute(statement)
                held = {table: self.request_lock(table) for table in sorted(tables, key=_rank)}
            except BaseException:
                rollback(first)
                raise
            self._held = held
            first.execute("UNLOCK TABLES")
            self.wait_acquired()

    def run(self, statement: str, actions: Mapping[TableName, Sequence[Action]]) -> None:
        """Run `statement`, which locks all the tables that the queue was opened for.

        Afterwards the tables are still locked, whether it succeeded or failed; on those that it
        got to, `actions` wait for the lock.
        """
        running = self._start(self.runner, lambda: self.runner.execute(statement))
        try:
            for table in list(self._held):
                self._wait_blocked(running, table)
                if running.has_ended(0):
                    break
                self.requeue_behind(table, actions.get(table, ()))
            running.result(on_wait=_do_nothing)
        finally:
            running.stop()

    def wait_acquired(self) -> None:
        """Wait until all tables are locked again: the statement, which comes before, is over."""
        for holder in self._held.values():
            holder.wait_acquired()

    def replace_queued(self, actions: Mapping[TableName, Sequence[Action]]) -> None:
        """Have `actions` wait for the tables, which are locked, instead of those that wait now."""
        before, self._queued = self._queued, []
        for each in before:
            each.stop()  # first, as they hold the names of what they wait to create
        for table in self._held:
            self._enqueue(actions.get(table, ()))

    def release(self) -> list[str]:
        """Release the tables to the actions that wait there before all other sessions.

        Returns what these returned, when all of them have ended.
        """
        while self._held:
            self._held.pop(next(iter(self._held))).release()
        queued, self._queued = self._queued, []
        return [line for each in queued for line in each.result(on_wait=_do_nothing)]

    def requeue_behind(self, table: TableName, actions: Sequence[Action]) -> None:
        """Release a table that the statement waits for, and be the next to lock it.

        Whether the statement works is not known yet: had the actions nothing before them, those
        meant for the new table would be done to the old one as soon as the statement failed.
        """
        before = self._held[table]
        self._held[table] = self.request_lock(table)
        self._enqueue(actions)
        before.release()

    def request_lock(self, table: TableName) -> _LockSession:
        """Have a new session lock `table`; return once it has the lock or waits for it."""
        session = self._open_session()
        statement = f"FLUSH TABLES {name_sql(table)} WITH READ LOCK"
        return _LockSession(
            session, self._start_waiting(session, lambda: session.execute(statement))
        )

    def is_blocked_on(self, table: TableName) -> bool:
        """Return whether the statement has locked the table before `table` and waits for this one.

        The first of these alone may be due to another session, which the statement waits for.
        """
        at = self._order.index(table)
        return (at == 0 or self._is_locked(self._order[at - 1])) and self._is_awaited(table)

    def _enqueue(self, actions: Sequence[Action]) -> None:
        for action in actions:
            session = self._open_session()
            self._queued.append(self._start_waiting(session, partial(action, session)))

    def _start_waiting(self, session: Connection, act: Callable[[], T]) -> BackgroundQuery[T]:
        """Start `act` in `session`; return once that waits for a lock or has ended."""
        running = self._start(session, act)
        while not self._is_waiting(session) and not running.has_ended(_POLL_SECONDS):
            pass
        return running

    def _open_session(self) -> Connection:
        session = self._stack.enter_context(self._connect())
        session.execute(f"SET SESSION lock_wait_timeout = {_QUEUE_TIMEOUT_SECONDS}")
        return session

    def _start(self, session: Connection, act: Callable[[], T]) -> BackgroundQuery[T]:
        running = BackgroundQuery(lambda stop: act(), interrupt=partial(self._kill, session))
        self._stack.callback(running.stop)
        return running

    def _kill(self, session: Connection) -> None:
        with suppress(CovetError, pymysql.err.Error):  # the server is gone, and its sessions too
            self._watcher.execute(f"KILL QUERY {session.id}")

    def _wait_blocked(self, running: BackgroundQuery[None], table: TableName) -> None:
        """Wait until the statement waits for `table` and has locked all before it, or has ended."""
        polls = 0
        while polls < _CONSECUTIVE_POLLS and not running.has_ended(_POLL_SECONDS):
            is_blocked = self.is_blocked_on(table) and self._is_waiting(self.runner)
            polls = polls + 1 if is_blocked else 0

    def _is_locked(self, table: TableName) -> bool:
        """Whether a session has an exclusive lock on it: SHOW CREATE takes the one lock that is
        given beside all others, and before requests that wait."""
        return self._times_out(f"SHOW CREATE TABLE {name_sql(table)}")

    def _is_awaited(self, table: TableName) -> bool:
        """Whether a session waits for an exclusive lock on it, while we hold ours: a reader would
        be let in beside us, but not before that request."""
        return self._times_out(f"SELECT 1 FROM {name_sql(table)} LIMIT 0")

    def _times_out(self, query: str) -> bool:
        try:
            self._watcher.execute(query)
        except pymysql.err.Error as error:
            return code_of(error) == ER.LOCK_WAIT_TIMEOUT
        return False

    def _is_waiting(self, session: Connection) -> bool:
        return bool(self._watcher.value(_STATE_OF, [session.id]) == _WAITING_STATE)


@dataclass(frozen=True, slots=True)
class _LockSession:
    """A session that has a table locked, or will when the statement `acquiring` has ended."""

    session: Connection
    acquiring: BackgroundQuery[None]

    def wait_acquired(self) -> None:
        try:
            self.acquiring.result(on_wait=_do_nothing)
        except pymysql.err.ProgrammingError as error:
            if code_of(error) != ER.NO_SUCH_TABLE:  # it has moved, and nothing came in its place
                raise

    def release(self) -> None:
        self.wait_acquired()
        self.session.execute("UNLOCK TABLES")
        self.session.close()  # the server allows few of them


def _rank(table: TableName) -> bytes:
    """Return a key that sorts tables in the order in which servers lock them."""
    return "\0".join(table).encode()


def _do_nothing() -> None:
    """Report nothing while a session is waited for."""
