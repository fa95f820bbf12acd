"""Ways to rename the tables of two databases in one statement while writers are blocked.

A table with triggers cannot change its database: they are dropped before, and created again on the
table that takes its place. A session that wrote in between would write without them. How writers
are blocked depends on the server: MySQL renames tables that are locked, MariaDB does not (`locks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Protocol

import pymysql

from covetbackup.core.databases.mysql.backup.privileges import granted
from covetbackup.core.databases.mysql.replace.locks import (
    Action,
    MetadataLockQueue,
    metadata_lock_queue,
)
from covetbackup.core.databases.mysql.replace.stored_objects import (
    StoredObject,
    create_objects,
    drop_objects,
    restore_triggers,
)
from covetbackup.core.databases.mysql.replace.swap_plan import (
    SwapPlan,
    TableName,
    is_started,
    name_sql,
)
from covetbackup.core.databases.mysql.server.connection import Connection, code_of
from covetbackup.core.errors import CovetError

MAX_TRIGGERS = 50
"""Triggers, each of which may take two sessions in MariaDB, whose usual limit is 151."""


class RenameStrategy(Protocol):
    """A way to rename all tables of two databases and to create the triggers of the new ones.

    `blocks_writers`: no session can write to a table while it lacks triggers that it should have,
    unless this process dies or the server ends its sessions. `can_change_routines`: routines can be
    created and dropped meanwhile.
    """

    blocks_writers: bool
    can_change_routines: bool

    def rename(self) -> None:
        """Drop the triggers of the old database and rename all tables: the commit point.

        Writers are still blocked.
        """

    def create_triggers(self) -> list[str]:
        """Create the triggers of the new tables and unblock writers.

        In MySQL they are unblocked when the context is left. Returns what could not be created and
        why, a line each.
        """


def rename_strategy(
    connection: Connection, plan: SwapPlan, connect: Callable[[], Connection]
) -> AbstractContextManager[RenameStrategy]:
    """Return the strategy for this server and plan, as a context.

    Writers are blocked until the triggers are there, where that is possible: not in MySQL when it
    uses GTIDs and some tables have no transactions; MariaDB needs RELOAD, and no more than
    `MAX_TRIGGERS` triggers. If the body fails before a table was renamed, the old triggers are
    restored before writers are unblocked. `connect` opens a session like `connection`.
    """
    if not plan.tables_with_triggers:
        return _without_locks(connection, plan, blocks_writers=True)
    if not connection.version.is_mariadb:
        return _with_table_locks(connection, plan)
    if len(plan.old_triggers + plan.new_triggers) > MAX_TRIGGERS or not _has_reload(connection):
        return _without_locks(connection, plan)
    return _with_lock_queue(connection, plan, connect)


def _has_reload(connection: Connection) -> bool:
    return bool(granted(connection, "").everywhere & {"RELOAD", "ALL PRIVILEGES", "ALL"})


class PlainRename:
    """The statements without locks of their own, in the session of `connection`."""

    def __init__(
        self,
        connection: Connection,
        plan: SwapPlan,
        *,
        blocks_writers: bool = False,
        can_change_routines: bool = True,
    ) -> None:
        self.blocks_writers = blocks_writers
        self.can_change_routines = can_change_routines
        self._connection = connection
        self._plan = plan

    def rename(self) -> None:
        for trigger in self._plan.old_triggers:
            self._connection.execute(drop_trigger_sql(self._plan.target, trigger))
        self._connection.execute(rename_tables_sql(self._plan.renames))

    def create_triggers(self) -> list[str]:
        # A trigger left by an attempt that died would fire before those it used to follow.
        drop_objects(self._connection, self._plan.target, ["TRIGGER"])
        triggers = self._plan.new_triggers
        if not create_objects(self._connection, self._plan.target, triggers):
            return []
        # A last statement of an attempt killed a moment ago may have run in between.
        return restore_triggers(self._connection, self._plan.target, triggers)


@contextmanager
def _without_locks(
    connection: Connection, plan: SwapPlan, *, blocks_writers: bool = False
) -> Iterator[RenameStrategy]:
    yield PlainRename(connection, plan, blocks_writers=blocks_writers)


@contextmanager
def _with_table_locks(connection: Connection, plan: SwapPlan) -> Iterator[RenameStrategy]:
    """Lock all tables first: MySQL keeps the locks of tables that are renamed."""
    tables = [old for old, _ in plan.renames]
    blocks_writers = True
    try:
        connection.execute(f"LOCK TABLES {', '.join(f'{name_sql(each)} WRITE' for each in tables)}")
    except pymysql.err.Error as error:
        if code_of(error) != ER_GTID_UNSAFE:
            raise
        blocks_writers = False
    try:
        yield PlainRename(
            connection,
            plan,
            blocks_writers=blocks_writers,
            can_change_routines=not blocks_writers,
        )
    except BaseException:
        _restore_old_triggers(connection, plan)
        raise
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone holds nothing
            connection.execute("UNLOCK TABLES")


ER_GTID_UNSAFE = 1785
"""With GTIDs MySQL locks no tables of several engines together; the driver has no name for it."""


def _restore_old_triggers(connection: Connection, plan: SwapPlan) -> None:
    """Restore the old triggers, if no table was renamed, in the session that locks the tables."""
    with suppress(pymysql.err.Error):  # the rollback of the swap restores what is still missing
        if not is_started(connection, plan):
            restore_triggers(connection, plan.target, plan.old_triggers)


@contextmanager
def _with_lock_queue(
    connection: Connection, plan: SwapPlan, connect: Callable[[], Connection]
) -> Iterator[RenameStrategy]:
    tables = [table for rename in plan.renames for table in rename]
    with metadata_lock_queue(connect, tables) as queue:
        strategy = _LockedRename(connection, plan, queue)
        try:
            yield strategy
        except BaseException:
            with suppress(pymysql.err.Error, CovetError):  # as in `_restore_old_triggers`
                strategy.release()
            raise


class _LockedRename:
    """The statements behind a `MetadataLockQueue` on the tables that have triggers or will have."""

    blocks_writers = True
    can_change_routines = True

    def __init__(self, connection: Connection, plan: SwapPlan, queue: MetadataLockQueue) -> None:
        self._connection = connection
        self._plan = plan
        self._queue = queue

    def rename(self) -> None:
        plan = self._plan
        drops = [drop_trigger_sql(plan.target, each) for each in plan.old_triggers]
        self._queue.acquire(
            plan.tables_with_triggers, drops, lambda first: _restore_old_triggers(first, plan)
        )
        self._queue.run(rename_tables_sql(plan.renames), self._creations(plan.new_triggers))

    def create_triggers(self) -> list[str]:
        # First those of tables that had no such name before: no session writes to them yet.
        locked = {name for _, name in self._plan.tables_with_triggers}
        others = [each for each in self._plan.new_triggers if each.table not in locked]
        failures = create_objects(self._connection, self._plan.target, others)
        return failures + self._queue.release()

    def release(self) -> None:
        """Unblock writers: to the old tables with their triggers, or to the new ones."""
        self._queue.wait_acquired()
        if not is_started(self._connection, self._plan):
            self._queue.replace_queued(self._creations(self._plan.old_triggers))
        self._queue.release()

    def _creations(self, triggers: Sequence[StoredObject]) -> dict[TableName, list[Action]]:
        """Return one action for each trigger: queued in sessions of their own, in this order, they
        are served before all writers."""
        found: dict[TableName, list[Action]] = {}
        for trigger in triggers:
            table = (self._plan.target, trigger.table)
            found.setdefault(table, []).append(partial(self._create, trigger))
        return found

    def _create(self, trigger: StoredObject, session: Connection) -> list[str]:
        return create_objects(session, self._plan.target, [trigger])


def drop_trigger_sql(database: str, trigger: StoredObject) -> str:
    """Return the statement that drops `trigger` in `database`."""
    return f"DROP TRIGGER {name_sql((database, trigger.name))}"


def rename_tables_sql(renames: Sequence[tuple[TableName, TableName]]) -> str:
    """Return the one statement that renames tables from the old to the new name of each pair."""
    pairs = [f"{name_sql(old)} TO {name_sql(new)}" for old, new in renames]
    return f"RENAME TABLE {', '.join(pairs)}"
