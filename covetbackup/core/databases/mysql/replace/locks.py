"""One statement of MariaDB that needs tables for itself, while nobody writes to some of them before
it or after it.

MariaDB renames nothing under LOCK TABLES, and whoever waits may come in when a lock is let go. But
who wants a table for himself (RENAME, FLUSH, CREATE TRIGGER) comes before all who write, in the
order of asking. So each table is held by a session of its own; the statement is started and takes,
in an order that is known, the tables it gets; a session lets go of its table only when the
statement waits for it, and another that will hold what is called so then waits behind that. It
keeps everybody off until the end of the statement is known, and what has to be done then is done.

If this process dies, or the server ends its sessions, all of them let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TypeVar

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.background import Background
from covetbackup.core.databases.mysql.replace.swap_plan import TargetTable
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted
from covetbackup.core.errors import CovetError

T = TypeVar("T")
Action = Callable[[Connection], list[str]]

_LOOK_SECONDS = 0.005
_SAME_LOOKS = 3
"""A session that got what it waited for is shown as waiting until its thread runs again."""

_PATIENCE_SECONDS = 600
"""For those who wait behind the statement, which may wait its own time for each of many tables."""

_WAITING = "SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = %s"
_WAITS = "Waiting for table metadata lock"


class MetadataLockQueue:
    """`taken` are all the tables that the statement will take. Leaving the context ends all of its
    sessions, and what they hold is free. `another` opens one."""

    def __init__(self, another: Callable[[], Connection], taken: Iterable[TargetTable]) -> None:
        self._another = another
        self._order = sorted(set(taken), key=_rank)
        self._stack = ExitStack()
        self._held: dict[TargetTable, _Holder] = {}
        self._queued: list[Background[list[str]]] = []

    def __enter__(self) -> MetadataLockQueue:
        with ExitStack() as stack:
            self._watcher = stack.enter_context(self._another())
            self._watcher.execute("SET SESSION lock_wait_timeout = 0")
            self._runner = stack.enter_context(self._another())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def hold(
        self,
        places: Sequence[TargetTable],
        statements: Sequence[str],
        undo: Callable[[Connection], object],
    ) -> None:
        """Lock `places`, of which there is at least one, run `statements`, which need those locks,
        and hold each by itself; or `undo` what was done, before anybody else gets one.

        Not with LOCK TABLES, which locks also what a table's keys and triggers lead to.
        """
        with self._another() as first:
            first.execute(f"LOCK TABLES {', '.join(f'{_name(place)} WRITE' for place in places)}")
            try:
                for statement in statements:
                    first.execute(statement)
                held = {place: self._asked_for(place) for place in sorted(places, key=_rank)}
            except BaseException:
                undo(first)
                raise
            self._held = held
            first.execute("UNLOCK TABLES")
            self.settle()

    def run(self, statement: str, then: Mapping[TargetTable, Sequence[Action]]) -> None:
        """Run `statement`, which takes all it was said to take.

        Afterwards the places are still held, whether it did its work or failed; on those that it
        got to, the actions of `then` wait to be let in.
        """
        running = self._started(self._runner, lambda: self._runner.execute(statement))
        try:
            for place in list(self._held):
                self._await_turn(running, place)
                if running.has_ended(0):
                    break
                self._hold_behind(place, then.get(place, ()))
            running.result(waiting=_nothing)
        finally:
            running.stop()

    def settle(self) -> None:
        """Until the places are held: the statement, which comes before, is over."""
        for holder in self._held.values():
            holder.await_it()

    def instead(self, then: Mapping[TargetTable, Sequence[Action]]) -> None:
        """Have the actions of `then` wait on the places, which are held, and no others."""
        before, self._queued = self._queued, []
        for each in before:
            each.stop()  # first, as they hold the names of what they wait to create
        for place in self._held:
            self._queue(then.get(place, ()))

    def let_go(self) -> list[str]:
        """Give the places back, to the actions that wait there before all others; what these
        returned, when all of them are over."""
        while self._held:
            self._held.pop(next(iter(self._held))).let_go()
        queued, self._queued = self._queued, []
        return [line for each in queued for line in each.result(waiting=_nothing)]

    def _hold_behind(self, place: TargetTable, actions: Sequence[Action]) -> None:
        """Let go of a place that the statement waits for, but be the next to have it.

        Whether the statement works is not known yet: had the actions nothing before them, those
        meant for the new table would be done to the old one as soon as the statement failed.
        """
        before = self._held[place]
        self._held[place] = self._asked_for(place)
        self._queue(actions)
        before.let_go()

    def _asked_for(self, place: TargetTable) -> _Holder:
        session = self._session()
        statement = f"FLUSH TABLES {_name(place)} WITH READ LOCK"
        return _Holder(session, self._waiting(session, lambda: session.execute(statement)))

    def _queue(self, actions: Sequence[Action]) -> None:
        for action in actions:
            session = self._session()
            self._queued.append(self._waiting(session, partial(action, session)))

    def _waiting(self, session: Connection, act: Callable[[], T]) -> Background[T]:
        """`act` in `session`, which waits for a table by now or has ended."""
        running = self._started(session, act)
        while not self._waits(session) and not running.has_ended(_LOOK_SECONDS):
            pass
        return running

    def _session(self) -> Connection:
        session = self._stack.enter_context(self._another())
        session.execute(f"SET SESSION lock_wait_timeout = {_PATIENCE_SECONDS}")
        return session

    def _started(self, session: Connection, act: Callable[[], T]) -> Background[T]:
        running = Background(lambda stop: act(), interrupt=partial(self._kill, session))
        self._stack.callback(running.stop)
        return running

    def _kill(self, session: Connection) -> None:
        with suppress(CovetError, pymysql.err.Error):  # the server is gone, and its sessions too
            self._watcher.execute(f"KILL QUERY {session.id}")

    def _await_turn(self, running: Background[None], place: TargetTable) -> None:
        """Until the statement waits for `place`: it has what comes before, and waits. Or until it
        has failed."""
        looks = 0
        while looks < _SAME_LOOKS and not running.has_ended(_LOOK_SECONDS):
            looks = looks + 1 if self._is_next(place) and self._waits(self._runner) else 0

    def _is_next(self, place: TargetTable) -> bool:
        """What comes before alone may be somebody else's, whom the statement waits for."""
        at = self._order.index(place)
        return (at == 0 or self._is_taken(self._order[at - 1])) and self._is_wanted(place)

    def _is_taken(self, place: TargetTable) -> bool:
        """Whether somebody has it for himself: to show it takes the one lock that is given beside
        all others, and before those who wait."""
        return self._is_refused(f"SHOW CREATE TABLE {_name(place)}")

    def _is_wanted(self, place: TargetTable) -> bool:
        """Whether somebody waits to have it for himself, though it is held by us: who reads may
        come in beside us, but not before him."""
        return self._is_refused(f"SELECT 1 FROM {_name(place)} LIMIT 0")

    def _is_refused(self, query: str) -> bool:
        try:
            self._watcher.execute(query)
        except pymysql.err.Error as error:
            return code_of(error) == ER.LOCK_WAIT_TIMEOUT
        return False

    def _waits(self, session: Connection) -> bool:
        return bool(self._watcher.value(_WAITING, [session.id]) == _WAITS)


@dataclass(frozen=True, slots=True)
class _Holder:
    """A session that has a table, or will have it when it has been given what it `asked` for."""

    session: Connection
    asked: Background[None]

    def await_it(self) -> None:
        try:
            self.asked.result(waiting=_nothing)
        except pymysql.err.ProgrammingError as error:
            if code_of(error) != ER.NO_SUCH_TABLE:  # it has moved, and nothing came in its place
                raise

    def let_go(self) -> None:
        self.await_it()
        self.session.execute("UNLOCK TABLES")
        self.session.close()  # there are not many of them


def _rank(place: TargetTable) -> bytes:
    """Servers take locks in the order of these."""
    return "\0".join(place).encode()


def _name(place: TargetTable) -> str:
    return ".".join(map(quoted, place))


def _nothing() -> None:
    """While one waits for a session there is nothing to tell."""
