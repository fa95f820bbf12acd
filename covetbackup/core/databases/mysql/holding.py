"""Moving the tables of two databases in one statement while nobody writes to those with triggers.

A table with triggers cannot change its database: they are dropped before, and created again on what
came in its place. Whoever could write in between would write without them. What keeps writers off
depends on the server: MySQL renames tables that are locked, MariaDB does not (`handover`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

import pymysql

from covetbackup.core.databases.mysql.connection import Connection, code_of, quoted
from covetbackup.core.databases.mysql.handover import Action, Handover
from covetbackup.core.databases.mysql.plan import Place, Plan
from covetbackup.core.databases.mysql.privileges import granted
from covetbackup.core.databases.mysql.stored import Stored, create_stored, drop_stored

_MOST = 50
"""Triggers, each of which may take two sessions in MariaDB, whose usual limit is 151."""


class Mover(Protocol):
    """`holds`: nobody can write to a table while it lacks the triggers that it should have."""

    holds: bool

    def move(self) -> None:
        """Drop the triggers of the old database, and move all tables: the commit point."""

    def arm(self) -> list[str]:
        """Create the triggers of the new tables; what was wrong with those that could not be."""


def mover(
    connection: Connection, plan: Plan, another: Callable[[], Connection]
) -> AbstractContextManager[Mover]:
    """Holds writers off until its context is left, where that can be: not in MySQL when it uses
    GTIDs and some tables have no transactions; in MariaDB it takes RELOAD, and no more than 50
    triggers. `another` opens a session like `connection`."""
    if not plan.old_triggers and not plan.new_triggers:
        return _unlocked(connection, plan, holds=True)
    if not connection.version.is_mariadb:
        return _locked(connection, plan)
    if len(plan.old_triggers + plan.new_triggers) > _MOST or not _may_flush(connection):
        return _unlocked(connection, plan)
    return _handed_over(connection, plan, another)


def _may_flush(connection: Connection) -> bool:
    return bool(granted(connection, "").everywhere & {"RELOAD", "ALL PRIVILEGES", "ALL"})


class Plain:
    """The statements alone, in the session of `connection`, and who else it `holds` off."""

    def __init__(self, connection: Connection, plan: Plan, *, holds: bool = False) -> None:
        self.holds = holds
        self._connection = connection
        self._plan = plan

    def move(self) -> None:
        for trigger in self._plan.old_triggers:
            self._connection.execute(drop_of(self._plan.target, trigger))
        self._connection.execute(rename_of(self._plan.moves))

    def arm(self) -> list[str]:
        # One that is left of an attempt that died would come before those it followed.
        drop_stored(self._connection, self._plan.target, ["TRIGGER"])
        return create_stored(self._connection, self._plan.target, self._plan.new_triggers)


@contextmanager
def _unlocked(connection: Connection, plan: Plan, *, holds: bool = False) -> Iterator[Mover]:
    yield Plain(connection, plan, holds=holds)


@contextmanager
def _locked(connection: Connection, plan: Plan) -> Iterator[Mover]:
    """MySQL lets the locks go with the tables to their new names."""
    places = [old for old, _ in plan.moves]
    holds = True
    try:
        connection.execute(f"LOCK TABLES {', '.join(f'{_name(place)} WRITE' for place in places)}")
    except pymysql.err.Error as error:
        if code_of(error) != ER_GTID_UNSAFE:
            raise
        holds = False
    try:
        yield Plain(connection, plan, holds=holds)
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone holds nothing
            connection.execute("UNLOCK TABLES")


ER_GTID_UNSAFE = 1785
"""With GTIDs MySQL locks no tables of several engines together; the driver has no name for it."""


@contextmanager
def _handed_over(
    connection: Connection, plan: Plan, another: Callable[[], Connection]
) -> Iterator[Mover]:
    with Handover(another, [place for move in plan.moves for place in move]) as handover:
        yield _HandingOver(connection, plan, handover)


class _HandingOver:
    """Holds the tables that have triggers, or will have."""

    holds = True

    def __init__(self, connection: Connection, plan: Plan, handover: Handover) -> None:
        self._connection = connection
        self._plan = plan
        self._handover = handover
        names = {trigger.table for trigger in plan.new_triggers} & set(plan.old_tables)
        self._held = names | {trigger.table for trigger in plan.old_triggers}
        self._wrong: list[str] = []

    def move(self) -> None:
        plan = self._plan
        places = [(plan.target, name) for name in sorted(self._held)]
        self._handover.hold(places, [drop_of(plan.target, each) for each in plan.old_triggers])
        then: dict[Place, list[Action]] = {}
        for trigger in plan.new_triggers:
            then.setdefault((plan.target, trigger.table), []).append(self._creating(trigger))
        self._wrong = self._handover.run(rename_of(plan.moves), then)

    def arm(self) -> list[str]:
        """Those of tables that nobody knew before."""
        rest = [each for each in self._plan.new_triggers if each.table not in self._held]
        return self._wrong + create_stored(self._connection, self._plan.target, rest)

    def _creating(self, trigger: Stored) -> Action:
        return lambda session: create_stored(session, self._plan.target, [trigger])


def drop_of(database: str, trigger: Stored) -> str:
    return f"DROP TRIGGER {_name((database, trigger.name))}"


def rename_of(moves: Sequence[tuple[Place, Place]]) -> str:
    return f"RENAME TABLE {', '.join(f'{_name(old)} TO {_name(new)}' for old, new in moves)}"


def _name(place: Place) -> str:
    return ".".join(map(quoted, place))
