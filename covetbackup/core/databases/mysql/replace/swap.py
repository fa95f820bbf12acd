"""Putting one database in another's place: all tables of both move in one RENAME TABLE.

What cannot move (triggers, views, routines, events) is created again where its tables went. A plan
of it all is written down first, in a table of the database that will keep the old one. Whoever
dies leaves the plan, and `recover` undoes it if no table has moved, else finishes it.

MySQL, and MariaDB since 10.6, make the statement all or nothing, for a crash of the server too: a
10.11 killed with 50 of 150 tables moved had them all back. An older MariaDB may have moved some
tables and not others: `recover` moves the rest. How nobody writes without triggers meanwhile:
`holding`. Rights granted on single routines stay with those that are the same in both databases.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.mysql.inventory import objects
from covetbackup.core.databases.mysql.inventory.options import in_statement, read_options
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace import metadata_tables, publish
from covetbackup.core.databases.mysql.replace.rename_strategies import (
    PlainRename,
    RenameStrategy,
    drop_of,
    rename_of,
    rename_strategy,
)
from covetbackup.core.databases.mysql.replace.retained import refuse_unfit
from covetbackup.core.databases.mysql.replace.stored_objects import (
    ROUTINES,
    account,
    create_routines,
    create_stored,
    drop_stored,
    restore_triggers,
    set_events_enabled,
)
from covetbackup.core.databases.mysql.replace.swap_plan import (
    SwapPlan,
    has_begun,
    make_plan,
    names_in,
    read_plan,
    write_plan,
)
from covetbackup.core.databases.mysql.restore import key_rules
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted, text_of
from covetbackup.core.errors import DatabaseError, ServerBusy, TargetNotEmpty

_LOCK_SECONDS = 30
_BRIEF_SECONDS = 1
_UNDO_SECONDS = 600
"""For giving triggers back: long, as giving up would leave a database in use without them."""

_NOT_HELD = (
    "writers to {} could not be held off while triggers were created again: what was written in"
    " that moment went without them"
)


def exchange(
    connection: Connection,
    another: Callable[[], Connection],
    *,
    target: str,
    incoming: str,
    retained_as: str,
    awake: Collection[str] | None = None,
) -> list[str]:
    """`target` becomes `retained_as` and `incoming` becomes `target`, or nothing changes.

    `another` opens a session of the same account and settings. `awake` names the events of
    `incoming` that will run; None: those that did before it was kept.
    Returns what a person should know: a line for each thing of the old database that could not be
    created again, and one if writers could not be held off. Raises
    `ServerBusy`, `TargetNotEmpty`, `DatabaseError`; the last also when all has changed places but
    something of the new database could not be created, which it then names.
    """
    refuse_unfit(connection, target)
    _as_needed(connection)
    if connection.value("SELECT GET_LOCK(%s, 0)", [retained_as]) != 1:
        raise ServerBusy(f"{retained_as!r} is being made by another session", "try again later")
    try:
        plan = make_plan(connection, target, incoming, retained_as, awake)
        _write_down(connection, plan)
        with _undone_on_failure(connection, plan) as notes:
            _prepare(connection, plan)
            with rename_strategy(connection, plan, lambda: _as_needed(another())) as moving:
                notes += [] if moving.holds else [_NOT_HELD.format(target)]
                moving.move()
                wrong, has_routines = _arm(connection, plan, moving)
            wrong += [] if has_routines else _put_routines(connection, plan)
        return notes + _finish(connection, plan, wrong)
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone holds nothing
            connection.execute("DO RELEASE_LOCK(%s)", [retained_as])


def _as_needed(connection: Connection) -> Connection:
    connection.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}, foreign_key_checks = 0")
    key_rules.set_off(connection)  # our own tables have no key
    return connection


def recover(connection: Connection) -> list[str]:
    """Undo or finish what died halfway on this server; the databases that it was about."""
    _as_needed(connection)
    return [kept for kept in metadata_tables.open_plans(connection) if _recovered(connection, kept)]


def _recovered(connection: Connection, kept: str) -> bool:
    if connection.value("SELECT GET_LOCK(%s, 0)", [kept]) != 1:
        return False  # whoever makes it is alive
    try:
        if kept not in metadata_tables.open_plans(connection):
            return False
        plan = read_plan(connection, kept)
        if plan is None:
            # It died before it wrote the plan, and so before it touched anything.
            connection.execute(f"DROP DATABASE {quoted(kept)}")
        elif has_begun(connection, plan):
            _move_rest(connection, plan)
            wrong, has_routines = _arm(connection, plan, PlainRename(connection, plan))
            wrong += [] if has_routines else _put_routines(connection, plan)
            _finish(connection, plan, wrong)
        else:
            _undo(connection, plan)
    finally:
        connection.execute("DO RELEASE_LOCK(%s)", [kept])
    return True


def _write_down(connection: Connection, plan: SwapPlan) -> None:
    """Make the database that will keep the old one, with the plan in it."""
    place = quoted(plan.kept)
    try:
        options = in_statement(connection, read_options(connection, plan.target))
        connection.execute(f"CREATE DATABASE {place} {options}")
    except pymysql.err.Error as error:
        if code_of(error) == ER.DB_CREATE_EXISTS:
            raise TargetNotEmpty(f"database {plan.kept!r} was created meanwhile") from error
        raise
    try:
        write_plan(connection, plan)
        _test_definers(connection, plan)
    except BaseException:
        with suppress(pymysql.err.Error):
            connection.execute(f"DROP DATABASE {place}")
        raise


def _test_definers(connection: Connection, plan: SwapPlan) -> None:
    """Create a trigger in the name of each account that has any of the old ones: with those dropped
    it would be too late to learn that this account may not. Raises `DatabaseError`."""
    for definer in objects.definers(connection, plan.target):
        name, table = (
            f"{quoted(plan.kept)}.{each}" for each in ("covet_trial", metadata_tables.PLAN)
        )
        try:
            connection.execute(
                f"CREATE DEFINER={account(definer)} TRIGGER {name} BEFORE DELETE ON {table}"
                " FOR EACH ROW SET @covet_trial = 1"
            )
        except pymysql.err.Error as error:
            raise DatabaseError(
                f"what {definer} defined in {plan.target!r} could not be created again:"
                f" {text_of(error)}",
                "replace it as an account that may set other definers: an administrator",
            ) from error
        connection.execute(f"DROP TRIGGER {name}")


def _prepare(connection: Connection, plan: SwapPlan) -> None:
    """What must be before tables can move. Until they have all of it is undone by `_undo`."""
    for name in plan.marked:
        metadata_tables.mark(connection, name)
    set_events_enabled(connection, plan.target, plan.old, enable=False)
    for trigger in plan.new_triggers:
        connection.execute(drop_of(plan.incoming, trigger))
    if plan.old_triggers:
        _refuse_busy(connection, plan.target)


def _refuse_busy(connection: Connection, target: str) -> None:
    """Wait until nobody uses a table: triggers that are dropped while somebody does could not be
    created again before he ends. One by one, as MySQL with GTIDs locks no tables of several
    engines together."""
    for table in list_tables(connection, target).tables:
        connection.execute(f"LOCK TABLES {quoted(target)}.{quoted(table.name)} WRITE")
    connection.execute("UNLOCK TABLES")


def _move_rest(connection: Connection, plan: SwapPlan) -> None:
    """All tables that have not moved yet."""
    moved, waiting = names_in(connection, plan.kept), names_in(connection, plan.incoming)
    moves = [
        (old, new)
        for old, new in plan.moves
        if (new[1] not in moved if new[0] == plan.kept else old[1] in waiting)
    ]
    if moves:
        connection.execute(rename_of(moves))


def _arm(connection: Connection, plan: SwapPlan, moving: RenameStrategy) -> tuple[list[str], bool]:
    """The routines and triggers of the new tables, which have moved; what was wrong with those that
    could not be created, and whether routines were: if not, they come once writers are let in.

    Routines first, while writers are held off: triggers call them. But a function that is running
    and waits to write to a table that is held would be waited for in vain, so it is not for long:
    then the triggers come first, and a moment passes in which they may miss a routine that is new
    or another, and fail. So it is in MySQL always, which changes no routine in a session that has
    tables locked, and makes another session wait for those that views call.
    """
    if not moving.allows_routines:
        return moving.arm(), False
    connection.execute(f"SET SESSION lock_wait_timeout = {_BRIEF_SECONDS}")
    wrong: list[str] | None = None
    try:
        wrong = _put_routines(connection, plan)
    except pymysql.err.OperationalError as error:
        if code_of(error) != ER.LOCK_WAIT_TIMEOUT:
            raise
    connection.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
    if wrong is not None:
        return wrong + moving.arm(), True
    return moving.arm(), False


def _put_routines(connection: Connection, plan: SwapPlan) -> list[str]:
    routines = [thing for thing in plan.new if thing.kind in ROUTINES]
    return create_routines(connection, plan.target, routines)


@contextmanager
def _undone_on_failure(connection: Connection, plan: SwapPlan) -> Iterator[list[str]]:
    """The list is for what a person should know, though it fails."""
    notes: list[str] = []
    try:
        yield notes
    except BaseException as error:
        _undo_after(connection, plan, error, notes)
        raise


def _undo_after(
    connection: Connection, plan: SwapPlan, error: BaseException, notes: list[str]
) -> None:
    """The original as it was, then `error` in words, if words are needed."""
    try:
        if has_begun(connection, plan):
            return  # what stopped us came after the tables had moved: `recover` goes on
        _undo(connection, plan)
    except pymysql.err.Error as second:
        raise DatabaseError(
            f"database {plan.target!r} was not replaced, and may lack triggers until the next"
            f" restore to this server or the next look for left-overs: {text_of(second)}",
            f"what is to be put right is written down in {plan.kept!r}; do not drop it",
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


def _undo(connection: Connection, plan: SwapPlan) -> None:
    connection.execute(f"SET SESSION lock_wait_timeout = {_UNDO_SECONDS}")
    both = ((plan.incoming, plan.new_triggers), (plan.target, plan.old_triggers))
    for database, triggers in both:
        if database in connection.strings("SHOW DATABASES"):
            problems = restore_triggers(connection, database, triggers)
            if problems:
                raise pymysql.err.OperationalError(0, "; ".join(problems))
    set_events_enabled(connection, plan.target, plan.old, enable=True)
    for name in plan.marked:
        if metadata_tables.mark_of(connection, name) is not None:
            metadata_tables.drop_identity(connection, name)
    connection.execute(f"DROP DATABASE {quoted(plan.kept)}")


def _finish(connection: Connection, plan: SwapPlan, wrong: list[str]) -> list[str]:
    """After the tables have moved. What it does can be done again. `wrong` is what could not be
    created in the new database so far."""
    connection.execute(f"SET SESSION lock_wait_timeout = {_UNDO_SECONDS}, foreign_key_checks = 0")
    drop_stored(connection, plan.target, ["VIEW", "EVENT"])
    publish.follow_sequences(connection, plan.target, plan.kept)
    publish.follow_sequences(connection, plan.incoming, plan.target)
    options = read_options(connection, plan.incoming)
    if options:  # else it was done before, and is gone
        statement = in_statement(connection, options)
        if "encryption" in read_options(connection, plan.target) and "encryption" not in options:
            statement += " ENCRYPTION 'N'"
        connection.execute(f"ALTER DATABASE {quoted(plan.target)} {statement}")
    others = [thing for thing in plan.new if thing.kind in ("VIEW", "EVENT")]
    wrong = wrong + create_stored(connection, plan.target, others)
    drop_stored(connection, plan.kept)
    lost = create_stored(connection, plan.kept, plan.old)
    set_events_enabled(connection, plan.target, plan.new, enable=True)
    _drop_emptied(connection, plan.incoming)
    metadata_tables.close_plan(connection, plan.kept)
    if wrong:
        raise DatabaseError(
            f"{plan.target!r} was replaced, but not all could be created in it: {'; '.join(wrong)}",
            f"create it by hand; what was there is kept as {plan.kept!r}",
        )
    return [f"could not be created again in {plan.kept}: {each}" for each in lost]


def _drop_emptied(connection: Connection, name: str) -> None:
    """What the new tables came from, unless somebody has put something into it meanwhile."""
    if (
        names_in(connection, name)
        - {metadata_tables.PLAN}
        - set(connection.strings(_VIEWS, [name]))
    ):
        return
    connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")


_VIEWS = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s"
