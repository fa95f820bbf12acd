"""Moving the tables of two databases in one statement while nobody writes to those with triggers.

A table with triggers cannot change its database: they are dropped before, and created again on what
came in its place. Whoever could write in between would write without them. What keeps writers off
depends on the server: MySQL renames tables that are locked, MariaDB does not (`handover`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Protocol

import pymysql

from covetbackup.core.databases.mysql.backup.privileges import granted
from covetbackup.core.databases.mysql.replace.locks import Action, MetadataLockQueue
from covetbackup.core.databases.mysql.replace.stored_objects import (
    StoredObject,
    create_stored,
    drop_stored,
    restore_triggers,
)
from covetbackup.core.databases.mysql.replace.swap_plan import SwapPlan, TargetTable, has_begun
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted
from covetbackup.core.errors import CovetError

_MOST = 50
"""Triggers, each of which may take two sessions in MariaDB, whose usual limit is 151."""


class RenameStrategy(Protocol):
    """`holds`: nobody can write to a table while it lacks the triggers that it should have, unless
    this process dies or the server ends its sessions. `allows_routines`: those can be created and
    dropped meanwhile."""

    holds: bool
    allows_routines: bool

    def move(self) -> None:
        """Drop the triggers of the old database, and move all tables: the commit point. Writers
        are still held off."""

    def arm(self) -> list[str]:
        """Create the triggers of the new tables, and let writers in (MySQL: when the context is
        left); what was wrong with those that could not be."""


def rename_strategy(
    connection: Connection, plan: SwapPlan, another: Callable[[], Connection]
) -> AbstractContextManager[RenameStrategy]:
    """Holds writers off until the triggers are there, where that can be: not in MySQL when it uses
    GTIDs and some tables have no transactions; in MariaDB it takes RELOAD, and no more than 50
    triggers. If its body fails before a table has moved, the old triggers are given back before
    writers come in. `another` opens a session like `connection`."""
    if not plan.guarded:
        return _unlocked(connection, plan, holds=True)
    if not connection.version.is_mariadb:
        return _locked(connection, plan)
    if len(plan.old_triggers + plan.new_triggers) > _MOST or not _may_flush(connection):
        return _unlocked(connection, plan)
    return _handed_over(connection, plan, another)


def _may_flush(connection: Connection) -> bool:
    return bool(granted(connection, "").everywhere & {"RELOAD", "ALL PRIVILEGES", "ALL"})


class PlainRename:
    """The statements alone, in the session of `connection`, and who else it `holds` off."""

    def __init__(
        self,
        connection: Connection,
        plan: SwapPlan,
        *,
        holds: bool = False,
        allows_routines: bool = True,
    ) -> None:
        self.holds = holds
        self.allows_routines = allows_routines
        self._connection = connection
        self._plan = plan

    def move(self) -> None:
        for trigger in self._plan.old_triggers:
            self._connection.execute(drop_of(self._plan.target, trigger))
        self._connection.execute(rename_of(self._plan.moves))

    def arm(self) -> list[str]:
        # One that is left of an attempt that died would come before those it followed.
        drop_stored(self._connection, self._plan.target, ["TRIGGER"])
        triggers = self._plan.new_triggers
        if not create_stored(self._connection, self._plan.target, triggers):
            return []
        # What one that was killed a moment ago had told the server may have come in between.
        return restore_triggers(self._connection, self._plan.target, triggers)


@contextmanager
def _unlocked(
    connection: Connection, plan: SwapPlan, *, holds: bool = False
) -> Iterator[RenameStrategy]:
    yield PlainRename(connection, plan, holds=holds)


@contextmanager
def _locked(connection: Connection, plan: SwapPlan) -> Iterator[RenameStrategy]:
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
        yield PlainRename(connection, plan, holds=holds, allows_routines=not holds)
    except BaseException:
        _give_back(connection, plan)
        raise
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone holds nothing
            connection.execute("UNLOCK TABLES")


ER_GTID_UNSAFE = 1785
"""With GTIDs MySQL locks no tables of several engines together; the driver has no name for it."""


def _give_back(connection: Connection, plan: SwapPlan) -> None:
    """The old triggers, if no table has moved, in the session that has the tables locked."""
    with suppress(pymysql.err.Error):  # what is still missing is given back when all is undone
        if not has_begun(connection, plan):
            restore_triggers(connection, plan.target, plan.old_triggers)


@contextmanager
def _handed_over(
    connection: Connection, plan: SwapPlan, another: Callable[[], Connection]
) -> Iterator[RenameStrategy]:
    with MetadataLockQueue(another, [place for move in plan.moves for place in move]) as handover:
        moving = _LockedRename(connection, plan, handover)
        try:
            yield moving
        except BaseException:
            with suppress(pymysql.err.Error, CovetError):  # as in `_give_back`
                moving.give_up()
            raise


class _LockedRename:
    """Holds the tables that have triggers, or will have."""

    holds = True
    allows_routines = True

    def __init__(self, connection: Connection, plan: SwapPlan, handover: MetadataLockQueue) -> None:
        self._connection = connection
        self._plan = plan
        self._handover = handover

    def move(self) -> None:
        plan = self._plan
        drops = [drop_of(plan.target, each) for each in plan.old_triggers]
        self._handover.hold(plan.guarded, drops, lambda first: _give_back(first, plan))
        self._handover.run(rename_of(plan.moves), self._creating(plan.new_triggers))

    def arm(self) -> list[str]:
        """First those of tables that nobody knew before."""
        guarded = {name for _, name in self._plan.guarded}
        others = [each for each in self._plan.new_triggers if each.table not in guarded]
        wrong = create_stored(self._connection, self._plan.target, others)
        return wrong + self._handover.let_go()

    def give_up(self) -> None:
        """Let writers in to what there is: the old tables with their triggers, or the new ones."""
        self._handover.settle()
        if not has_begun(self._connection, self._plan):
            self._handover.instead(self._creating(self._plan.old_triggers))
        self._handover.let_go()

    def _creating(self, triggers: Sequence[StoredObject]) -> dict[TargetTable, list[Action]]:
        """Each in a session of its own, behind the one before: who writes comes after them all."""
        found: dict[TargetTable, list[Action]] = {}
        for trigger in triggers:
            place = (self._plan.target, trigger.table)
            found.setdefault(place, []).append(partial(self._create, trigger))
        return found

    def _create(self, trigger: StoredObject, session: Connection) -> list[str]:
        return create_stored(session, self._plan.target, [trigger])


def drop_of(database: str, trigger: StoredObject) -> str:
    return f"DROP TRIGGER {_name((database, trigger.name))}"


def rename_of(moves: Sequence[tuple[TargetTable, TargetTable]]) -> str:
    return f"RENAME TABLE {', '.join(f'{_name(old)} TO {_name(new)}' for old, new in moves)}"


def _name(place: TargetTable) -> str:
    return ".".join(map(quoted, place))
