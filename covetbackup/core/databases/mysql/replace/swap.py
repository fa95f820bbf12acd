"""The swap of two databases: all tables of both are renamed in one RENAME TABLE.

What cannot be renamed (triggers, views, routines, events) is created again where its tables went.
The plan of all that is written down first, in a table of the database that will be retained. A
process that dies leaves the plan, and `recover` rolls the swap back if no table was renamed, else
finishes it.

MySQL, and MariaDB since 10.6, make the statement all or nothing, for a crash of the server too: a
10.11 killed with 50 of 150 tables moved had them all back. An older MariaDB may have moved some
tables and not others: `recover` moves the rest. How writes without triggers are prevented
meanwhile: `rename_strategies`. Grants on single routines stay with those that are the same in both
databases.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.mysql.inventory import objects
from covetbackup.core.databases.mysql.inventory.options import options_sql, read_options
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace import metadata_tables, publish
from covetbackup.core.databases.mysql.replace.rename_strategies import (
    PlainRename,
    RenameStrategy,
    drop_trigger_sql,
    rename_strategy,
    rename_tables_sql,
)
from covetbackup.core.databases.mysql.replace.retained import refuse_irreplaceable
from covetbackup.core.databases.mysql.replace.stored_objects import (
    ROUTINES,
    account_sql,
    create_objects,
    create_routines,
    drop_objects,
    restore_triggers,
    set_events_enabled,
)
from covetbackup.core.databases.mysql.replace.swap_plan import (
    SwapPlan,
    is_started,
    list_names,
    make_plan,
    read_plan,
    write_plan,
)
from covetbackup.core.databases.mysql.restore import key_rules
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted, text_of
from covetbackup.core.errors import DatabaseError, ServerBusy, TargetNotEmpty

LOCK_SECONDS = 30
_BRIEF_SECONDS = 1
_ROLLBACK_SECONDS = 600
"""For restoring triggers: long, as giving up would leave a database in use without them."""

_WRITERS_NOT_BLOCKED = (
    "writers to {} could not be blocked while triggers were created again: rows written in that"
    " moment did not fire them"
)


def swap_databases(
    connection: Connection,
    connect: Callable[[], Connection],
    *,
    target: str,
    incoming: str,
    retained_as: str,
    enabled_events: Collection[str] | None = None,
) -> list[str]:
    """Rename `target` to `retained_as` and `incoming` to `target`, or change nothing.

    `connect` opens a session of the same account and settings. `enabled_events` names the events of
    `incoming` that will run; None means those that ran before that database was retained.
    Returns notes for the operator: a line for each object of the old database that could not be
    created again, and one if writers could not be blocked. Raises `ServerBusy`, `TargetNotEmpty`,
    `DatabaseError`; the last also when all tables were renamed but objects of the new database
    could not be created, which it then names.
    """
    refuse_irreplaceable(connection, target)
    _configure_session(connection)
    if connection.value("SELECT GET_LOCK(%s, 0)", [retained_as]) != 1:
        raise ServerBusy(f"another session is creating {retained_as!r}", "try again later")
    try:
        plan = make_plan(connection, target, incoming, retained_as, enabled_events)
        _record_plan(connection, plan)
        with _rolled_back_on_failure(connection, plan) as notes:
            prepare(connection, plan)
            opened = rename_strategy(connection, plan, lambda: _configure_session(connect()))
            with opened as strategy:
                notes += [] if strategy.blocks_writers else [_WRITERS_NOT_BLOCKED.format(target)]
                strategy.rename()
                failures, has_routines = create_triggers(connection, plan, strategy)
            failures += [] if has_routines else _create_routines(connection, plan)
        return notes + finish(connection, plan, failures)
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone holds nothing
            connection.execute("DO RELEASE_LOCK(%s)", [retained_as])


def _configure_session(connection: Connection) -> Connection:
    connection.execute(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, foreign_key_checks = 0")
    key_rules.set_off(connection)  # our own tables have no key
    return connection


def recover(connection: Connection) -> list[str]:
    """Roll back or finish every swap that ended halfway on this server.

    Returns the names under which their databases were to be retained.
    """
    _configure_session(connection)
    plans = metadata_tables.open_plans(connection)
    return [name for name in plans if _recover_one(connection, name)]


def _recover_one(connection: Connection, retained_as: str) -> bool:
    if connection.value("SELECT GET_LOCK(%s, 0)", [retained_as]) != 1:
        return False  # the session that runs the swap is alive
    try:
        if retained_as not in metadata_tables.open_plans(connection):
            return False
        plan = read_plan(connection, retained_as)
        if plan is None:
            # It died before it wrote the plan, and so before it touched anything.
            connection.execute(f"DROP DATABASE {quoted(retained_as)}")
        elif is_started(connection, plan):
            _rename_rest(connection, plan)
            strategy = PlainRename(connection, plan)
            failures, has_routines = create_triggers(connection, plan, strategy)
            failures += [] if has_routines else _create_routines(connection, plan)
            finish(connection, plan, failures)
        else:
            _roll_back(connection, plan)
    finally:
        connection.execute("DO RELEASE_LOCK(%s)", [retained_as])
    return True


def _record_plan(connection: Connection, plan: SwapPlan) -> None:
    """Create the database `retained_as`, with the plan in it."""
    name = quoted(plan.retained_as)
    try:
        options = options_sql(connection, read_options(connection, plan.target))
        connection.execute(f"CREATE DATABASE {name} {options}")
    except pymysql.err.Error as error:
        if code_of(error) == ER.DB_CREATE_EXISTS:
            raise TargetNotEmpty(f"database {plan.retained_as!r} was created meanwhile") from error
        raise
    try:
        write_plan(connection, plan)
        _test_definers(connection, plan)
    except BaseException:
        with suppress(pymysql.err.Error):
            connection.execute(f"DROP DATABASE {name}")
        raise


def _test_definers(connection: Connection, plan: SwapPlan) -> None:
    """Create a trigger with each definer of an old object: once those are dropped it would be too
    late to learn that this account may not. Raises `DatabaseError`."""
    database = quoted(plan.retained_as)
    name, table = f"{database}.covet_trial", f"{database}.{metadata_tables.PLAN}"
    for definer in objects.definers(connection, plan.target):
        try:
            connection.execute(
                f"CREATE DEFINER={account_sql(definer)} TRIGGER {name} BEFORE DELETE ON {table}"
                " FOR EACH ROW SET @covet_trial = 1"
            )
        except pymysql.err.Error as error:
            raise DatabaseError(
                f"objects of definer {definer} in {plan.target!r} could not be created again:"
                f" {text_of(error)}",
                "replace it as an account that may set other definers: an administrator",
            ) from error
        connection.execute(f"DROP TRIGGER {name}")


def prepare(connection: Connection, plan: SwapPlan) -> None:
    """Do what must precede the rename of tables: identities, disabled events, no new triggers.
    Until the rename all of it can be rolled back."""
    for name in plan.identity_added:
        metadata_tables.set_identity(connection, name)
    set_events_enabled(connection, plan.target, plan.old, enable=False)
    for trigger in plan.new_triggers:
        connection.execute(drop_trigger_sql(plan.incoming, trigger))
    if plan.old_triggers:
        wait_until_unused(connection, plan.target)


def wait_until_unused(connection: Connection, target: str) -> None:
    """Wait until no session uses a table.

    Triggers dropped while one does could not be created again before it ends. The tables are locked
    one after another, as MySQL with GTIDs locks no tables of several engines together.
    """
    for table in list_tables(connection, target).tables:
        connection.execute(f"LOCK TABLES {quoted(target)}.{quoted(table.name)} WRITE")
    connection.execute("UNLOCK TABLES")


def _rename_rest(connection: Connection, plan: SwapPlan) -> None:
    """Rename all tables that have not moved yet."""
    moved, waiting = list_names(connection, plan.retained_as), list_names(connection, plan.incoming)
    renames = [
        (old, new)
        for old, new in plan.renames
        if (new[1] not in moved if new[0] == plan.retained_as else old[1] in waiting)
    ]
    if renames:
        connection.execute(rename_tables_sql(renames))


def create_triggers(
    connection: Connection, plan: SwapPlan, strategy: RenameStrategy
) -> tuple[list[str], bool]:
    """Create the routines and triggers of the new tables, which were renamed.

    Returns what could not be created and why, a line each, and whether routines were created: if
    not, that is due once writers are unblocked.

    Routines first, while writers are blocked: triggers call them. But a running function that waits
    to write to a locked table would be waited for in vain, so the wait is short: then the triggers
    come first, and a moment passes in which they may miss a routine that is new or changed, and
    fail. That is always so in MySQL, which changes no routine in a session that has tables locked,
    and makes another session wait for those that views call.
    """
    if not strategy.can_change_routines:
        return strategy.create_triggers(), False
    connection.execute(f"SET SESSION lock_wait_timeout = {_BRIEF_SECONDS}")
    failures: list[str] | None = None
    try:
        failures = _create_routines(connection, plan)
    except pymysql.err.OperationalError as error:
        if code_of(error) != ER.LOCK_WAIT_TIMEOUT:
            raise
    connection.execute(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
    if failures is not None:
        return failures + strategy.create_triggers(), True
    return strategy.create_triggers(), False


def _create_routines(connection: Connection, plan: SwapPlan) -> list[str]:
    routines = [each for each in plan.new if each.kind in ROUTINES]
    return create_routines(connection, plan.target, routines)


@contextmanager
def _rolled_back_on_failure(connection: Connection, plan: SwapPlan) -> Iterator[list[str]]:
    """Yield a list for notes to the operator, which an error's hint repeats; on an error roll the
    swap back, unless a table was renamed."""
    notes: list[str] = []
    try:
        yield notes
    except BaseException as error:
        _roll_back_after(connection, plan, error, notes)
        raise


def _roll_back_after(
    connection: Connection, plan: SwapPlan, error: BaseException, notes: list[str]
) -> None:
    """Restore the original database, then raise `error` as ours if it is the driver's."""
    try:
        if is_started(connection, plan):
            return  # the error came after the rename: `recover` finishes the swap
        _roll_back(connection, plan)
    except pymysql.err.Error as second:
        raise DatabaseError(
            f"database {plan.target!r} was not replaced, and may lack triggers until the next"
            f" restore to this server or the next cleanup: {text_of(second)}",
            f"the plan to repair it is in {plan.retained_as!r}; do not drop that database",
        ) from error
    if isinstance(error, pymysql.err.Error):
        if code_of(error) == ER.LOCK_WAIT_TIMEOUT:
            raise ServerBusy(
                f"tables of {plan.target!r} are in use, so it was not replaced",
                "; ".join(["end long transactions that use them, and try again", *notes]),
            ) from error
        raise DatabaseError(
            f"{plan.target!r} was not replaced: {text_of(error)}", "; ".join(notes)
        ) from error


def _roll_back(connection: Connection, plan: SwapPlan) -> None:
    connection.execute(f"SET SESSION lock_wait_timeout = {_ROLLBACK_SECONDS}")
    both = ((plan.incoming, plan.new_triggers), (plan.target, plan.old_triggers))
    for database, triggers in both:
        if database in connection.strings("SHOW DATABASES"):
            failures = restore_triggers(connection, database, triggers)
            if failures:
                raise pymysql.err.OperationalError(0, "; ".join(failures))
    set_events_enabled(connection, plan.target, plan.old, enable=True)
    for name in plan.identity_added:
        if metadata_tables.identity_of(connection, name) is not None:
            metadata_tables.drop_identity(connection, name)
    connection.execute(f"DROP DATABASE {quoted(plan.retained_as)}")


def finish(connection: Connection, plan: SwapPlan, failures: list[str]) -> list[str]:
    """Complete a swap whose tables were renamed; idempotent.

    `failures` names what could not be created in the new database so far. Returns what of the old
    one could not be created again, a line each. Raises `DatabaseError` if there are failures.
    """
    connection.execute(
        f"SET SESSION lock_wait_timeout = {_ROLLBACK_SECONDS}, foreign_key_checks = 0"
    )
    drop_objects(connection, plan.target, ["VIEW", "EVENT"])
    publish.requalify_defaults(connection, plan.target, plan.retained_as)
    publish.requalify_defaults(connection, plan.incoming, plan.target)
    options = read_options(connection, plan.incoming)
    if options:  # else it was done before, and is gone
        statement = options_sql(connection, options)
        if "encryption" in read_options(connection, plan.target) and "encryption" not in options:
            statement += " ENCRYPTION 'N'"
        connection.execute(f"ALTER DATABASE {quoted(plan.target)} {statement}")
    others = [each for each in plan.new if each.kind in ("VIEW", "EVENT")]
    failures = failures + create_objects(connection, plan.target, others)
    drop_objects(connection, plan.retained_as)
    not_recreated = create_objects(connection, plan.retained_as, plan.old)
    set_events_enabled(connection, plan.target, plan.new, enable=True)
    _drop_incoming(connection, plan.incoming)
    metadata_tables.close_plan(connection, plan.retained_as)
    if failures:
        raise DatabaseError(
            f"{plan.target!r} was replaced, but not all could be created in it:"
            f" {'; '.join(failures)}",
            f"create it by hand; the replaced database is retained as {plan.retained_as!r}",
        )
    return [f"could not be created again in {plan.retained_as}: {each}" for each in not_recreated]


def _drop_incoming(connection: Connection, name: str) -> None:
    """Drop the database that the new tables came from, unless it has got new ones meanwhile."""
    views = set(connection.strings(_VIEWS, [name]))
    if list_names(connection, name) - {metadata_tables.PLAN} - views:
        return
    connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")


_VIEWS = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s"
