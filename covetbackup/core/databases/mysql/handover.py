"""One statement of MariaDB that needs tables for itself, while nobody writes to some of them before
it or after it.

MariaDB renames nothing under LOCK TABLES, and whoever waits may come in when a lock is let go. But
who wants a table for himself (RENAME, FLUSH, CREATE TRIGGER) comes before all who write, in the
order of asking. So each table is held by a session of its own; the statement is started and takes,
in an order that is known, the tables it gets; a session lets go of its table only when the
statement waits for it, and what is to be done to what will be called so waits behind that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import TypeVar

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.background import Background
from covetbackup.core.databases.mysql.connection import Connection, code_of, quoted
from covetbackup.core.databases.mysql.plan import Place
from covetbackup.core.errors import CovetError

T = TypeVar("T")
Action = Callable[[Connection], list[str]]

_LOOK_SECONDS = 0.005
_SAME_LOOKS = 3
"""A session that got what it waited for is shown as waiting until its thread runs again."""

_WAITING = "SELECT STATE FROM information_schema.PROCESSLIST WHERE ID = %s"
_WAITS = "Waiting for table metadata lock"


class Handover:
    """`taken` are all the tables that the statement will take. Leaving the context ends all of its
    sessions, and what they hold is free. `another` opens one."""

    def __init__(self, another: Callable[[], Connection], taken: Iterable[Place]) -> None:
        self._another = another
        self._order = sorted(set(taken), key=_rank)
        self._stack = ExitStack()
        self._holders: dict[Place, Connection] = {}

    def __enter__(self) -> Handover:
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

    def hold(self, places: Sequence[Place], statements: Sequence[str]) -> None:
        """Lock `places`, run `statements`, which need those locks, and hold each by itself.

        Not with LOCK TABLES, which locks also what a table's keys and triggers lead to.
        """
        with self._another() as first:
            first.execute(f"LOCK TABLES {', '.join(f'{_name(place)} WRITE' for place in places)}")
            for statement in statements:
                first.execute(statement)
            asking = [self._asked_for(place) for place in places]
            first.execute("UNLOCK TABLES")
            for each in asking:
                each.result(waiting=_nothing)

    def run(self, statement: str, then: Mapping[Place, Sequence[Action]]) -> list[str]:
        """Run `statement`, which takes all it was said to take, and on what is called as one of the
        places afterwards its actions, one after the other; what they return."""
        running = self._started(self._runner, lambda: self._runner.execute(statement))
        queued = []
        for place, holder in sorted(self._holders.items(), key=lambda held: _rank(held[0])):
            self._await_turn(running, place)
            queued += [self._queued(action) for action in then.get(place, ())]
            holder.execute("UNLOCK TABLES")
        running.result(waiting=_nothing)
        return [line for each in queued for line in each.result(waiting=_nothing)]

    def _asked_for(self, place: Place) -> Background[None]:
        session = self._holders[place] = self._session()
        statement = f"FLUSH TABLES {_name(place)} WITH READ LOCK"
        return self._waiting(session, lambda: session.execute(statement))

    def _queued(self, action: Action) -> Background[list[str]]:
        session = self._session()
        return self._waiting(session, lambda: action(session))

    def _waiting(self, session: Connection, act: Callable[[], T]) -> Background[T]:
        """`act` in `session`, which waits for a table by now or has ended."""
        running = self._started(session, act)
        while not self._waits(session) and not running.has_ended(_LOOK_SECONDS):
            pass
        return running

    def _session(self) -> Connection:
        return self._stack.enter_context(self._another())

    def _started(self, session: Connection, act: Callable[[], T]) -> Background[T]:
        running = Background(lambda stop: act(), interrupt=partial(self._kill, session))
        self._stack.callback(running.stop)
        return running

    def _kill(self, session: Connection) -> None:
        with suppress(CovetError, pymysql.err.Error):  # the server is gone, and its sessions too
            self._watcher.execute(f"KILL QUERY {session.id}")

    def _await_turn(self, running: Background[None], place: Place) -> None:
        """Until the statement waits for `place`: it has what comes before, and waits. Or until it
        has failed."""
        looks = 0
        while looks < _SAME_LOOKS and not running.has_ended(_LOOK_SECONDS):
            looks = looks + 1 if self._is_next(place) and self._waits(self._runner) else 0

    def _is_next(self, place: Place) -> bool:
        at = self._order.index(place)
        return at == 0 or self._is_taken(self._order[at - 1])

    def _is_taken(self, place: Place) -> bool:
        """Whether somebody has it for himself: to show it takes the one lock that is given beside
        all others, and before those who wait."""
        try:
            self._watcher.execute(f"SHOW CREATE TABLE {_name(place)}")
        except pymysql.err.Error as error:
            return code_of(error) == ER.LOCK_WAIT_TIMEOUT
        return False

    def _waits(self, session: Connection) -> bool:
        return bool(self._watcher.value(_WAITING, [session.id]) == _WAITS)


def _rank(place: Place) -> bytes:
    """Servers take locks in the order of these."""
    return "\0".join(place).encode()


def _name(place: Place) -> str:
    return ".".join(map(quoted, place))


def _nothing() -> None:
    """While one waits for a session there is nothing to tell."""
