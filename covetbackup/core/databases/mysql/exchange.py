"""Putting one database in another's place: all tables of both move in one RENAME TABLE.

What cannot move (triggers, views, routines, events) is created again where its tables went. A plan
of it all is written down first, in a table of the database that will keep the old one. Whoever
dies leaves the plan, and `recover` undoes it if no table has moved, else finishes it.

MySQL, and MariaDB since 10.6, make the statement all or nothing for its errors, and MySQL for a
crash of the server too. MariaDB then keeps every single rename whole, and so may have moved some
tables and not others: `recover` moves the rest. For a moment before it the old tables have no
triggers. Rights granted on single routines go with them, as the server has it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.mysql import catalog, marks, swap
from covetbackup.core.databases.mysql.connection import Connection, code_of, quoted, text_of
from covetbackup.core.databases.mysql.replace import refuse_unfit
from covetbackup.core.databases.mysql.stored import (
    Stored,
    account,
    create_stored,
    drop_stored,
    put_events,
    read_stored,
)
from covetbackup.core.databases.mysql.tables import list_tables
from covetbackup.core.errors import DatabaseError, ServerBusy, TargetNotEmpty

_LOCK_SECONDS = 30
_UNDO_SECONDS = 600
"""For giving triggers back: long, as giving up would leave a database in use without them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`target` becomes `kept`, `incoming` becomes `target`. `marked` were given their mark for it.
    `old` and `new` are what has to be created again, of `target` and of `incoming`."""

    target: str
    incoming: str
    kept: str
    old_tables: tuple[str, ...]
    new_tables: tuple[str, ...]
    marked: tuple[str, ...]
    old: tuple[Stored, ...]
    new: tuple[Stored, ...]


def exchange(
    connection: Connection,
    *,
    target: str,
    incoming: str,
    kept_as: str,
    awake: Collection[str] | None = None,
) -> list[str]:
    """`target` becomes `kept_as` and `incoming` becomes `target`, or nothing changes.

    `awake` names the events of `incoming` that will run; None: those that did before it was kept.
    Returns a line for each thing of the old database that could not be created again. Raises
    `ServerBusy`, `TargetNotEmpty`, `DatabaseError`; the last also when all has changed places but
    something of the new database could not be created, which it then names.
    """
    refuse_unfit(connection, target)
    connection.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}, foreign_key_checks = 0")
    if connection.value("SELECT GET_LOCK(%s, 0)", [kept_as]) != 1:
        raise ServerBusy(f"{kept_as!r} is being made by another session", "try again later")
    try:
        if awake is None:
            awake = _awake_before(connection, incoming)
        plan = _planned(connection, target, incoming, kept_as, awake)
        _write_down(connection, plan)
        try:
            _prepare(connection, plan)
            _rename(connection, plan)
        except BaseException as error:
            _undo_after(connection, plan, error)
            raise
        return _finish(connection, plan)
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone holds nothing
            connection.execute("DO RELEASE_LOCK(%s)", [kept_as])


def recover(connection: Connection) -> list[str]:
    """Undo or finish what died halfway on this server; the databases that it was about."""
    connection.execute(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}, foreign_key_checks = 0")
    return [kept for kept in marks.open_plans(connection) if _recovered(connection, kept)]


def _recovered(connection: Connection, kept: str) -> bool:
    if connection.value("SELECT GET_LOCK(%s, 0)", [kept]) != 1:
        return False  # whoever makes it is alive
    try:
        if kept not in marks.open_plans(connection):
            return False
        plan = _read_plan(connection, kept)
        if plan is None:
            # It died before it wrote the plan, and so before it touched anything.
            connection.execute(f"DROP DATABASE {quoted(kept)}")
        elif _has_begun(connection, plan):
            _rename(connection, plan)
            _finish(connection, plan)
        else:
            _undo(connection, plan)
    finally:
        connection.execute("DO RELEASE_LOCK(%s)", [kept])
    return True


def _planned(
    connection: Connection, target: str, incoming: str, kept: str, awake: Collection[str]
) -> Plan:
    return Plan(
        target=target,
        incoming=incoming,
        kept=kept,
        old_tables=_movable(connection, target),
        new_tables=_movable(connection, incoming),
        marked=tuple(
            name for name in (target, incoming) if marks.mark_of(connection, name) is None
        ),
        old=tuple(read_stored(connection, target)),
        new=tuple(
            replace(thing, enabled=thing.kind == "EVENT" and thing.name in awake)
            for thing in read_stored(connection, incoming)
        ),
    )


def _movable(connection: Connection, database: str) -> tuple[str, ...]:
    listing = list_tables(connection, database)
    return (*(table.name for table in listing.tables), *listing.sequences, marks.IDENTITY)


def _awake_before(connection: Connection, kept: str) -> set[str]:
    plan = _read_plan(connection, kept)
    return {thing.name for thing in plan.old if thing.enabled} if plan else set()


def _write_down(connection: Connection, plan: Plan) -> None:
    """Make the database that will keep the old one, with the plan in it."""
    place = quoted(plan.kept)
    try:
        connection.execute(f"CREATE DATABASE {place} {_charset(connection, plan.target)}")
    except pymysql.err.Error as error:
        if code_of(error) == ER.DB_CREATE_EXISTS:
            raise TargetNotEmpty(f"database {plan.kept!r} was created meanwhile") from error
        raise
    try:
        marks.write_plan(connection, plan.kept, json.dumps(asdict(plan)))
        _rehearse(connection, plan)
    except BaseException:
        with suppress(pymysql.err.Error):
            connection.execute(f"DROP DATABASE {place}")
        raise


def _charset(connection: Connection, database: str) -> str:
    """The options of a database, "" if it is gone."""
    found = connection.rows(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
        " WHERE SCHEMA_NAME = %s",
        [database],
    )
    return f"CHARACTER SET {found[0][0]} COLLATE {found[0][1]}" if found else ""


def _rehearse(connection: Connection, plan: Plan) -> None:
    """Create a trigger in the name of each account that has any of the old ones: with those dropped
    it would be too late to learn that this account may not. Raises `DatabaseError`."""
    for definer in catalog.definers(connection, plan.target):
        name, table = (f"{quoted(plan.kept)}.{each}" for each in ("covet_trial", marks.PLAN))
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


def _read_plan(connection: Connection, kept: str) -> Plan | None:
    text = marks.read_plan(connection, kept)
    if text is None:
        return None
    found = json.loads(text)
    for name in ("old_tables", "new_tables", "marked"):
        found[name] = tuple(found[name])
    for name in ("old", "new"):
        found[name] = tuple(
            Stored(**{**thing, "session": tuple(map(tuple, thing["session"]))})
            for thing in found[name]
        )
    return Plan(**found)


def _prepare(connection: Connection, plan: Plan) -> None:
    """What must be before tables can move. Until `_rename` all of it is undone by `_undo`."""
    for name in plan.marked:
        marks.mark(connection, name)
    put_events(connection, plan.target, plan.old, enable=False)
    drop_stored(connection, plan.incoming, ["TRIGGER"])
    triggers = [thing.name for thing in plan.old if thing.kind == "TRIGGER"]
    if triggers:
        _refuse_busy(connection, plan.target)
    for name in triggers:
        connection.execute(f"DROP TRIGGER {quoted(plan.target)}.{quoted(name)}")


def _refuse_busy(connection: Connection, target: str) -> None:
    """Wait until nobody uses a table: triggers that are dropped while somebody does could not be
    created again before he ends. The locks are not kept: under them MariaDB renames nothing. One
    by one, as MySQL with GTIDs locks no tables of several engines together."""
    for table in list_tables(connection, target).tables:
        connection.execute(f"LOCK TABLES {quoted(target)}.{quoted(table.name)} WRITE")
    connection.execute("UNLOCK TABLES")


def _rename(connection: Connection, plan: Plan) -> None:
    """The commit point: all tables that have not moved yet."""
    moved, waiting = _names(connection, plan.kept), _names(connection, plan.incoming)
    moves = [
        _move(plan.target, plan.kept, name) for name in plan.old_tables if name not in moved
    ] + [_move(plan.incoming, plan.target, name) for name in plan.new_tables if name in waiting]
    if moves:
        connection.execute(f"RENAME TABLE {', '.join(moves)}")


def _move(source: str, target: str, name: str) -> str:
    return f"{quoted(source)}.{quoted(name)} TO {quoted(target)}.{quoted(name)}"


def _names(connection: Connection, database: str) -> set[str]:
    query = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
    return set(connection.strings(query, [database]))


def _has_begun(connection: Connection, plan: Plan) -> bool:
    return bool(_names(connection, plan.kept) & set(plan.old_tables))


def _undo_after(connection: Connection, plan: Plan, error: BaseException) -> None:
    """The original as it was, then `error` in words, if words are needed."""
    try:
        if _has_begun(connection, plan):
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
                "end long transactions that use them, and try again",
            ) from error
        raise DatabaseError(f"{plan.target!r} was not replaced: {text_of(error)}") from error


def _undo(connection: Connection, plan: Plan) -> None:
    connection.execute(f"SET SESSION lock_wait_timeout = {_UNDO_SECONDS}")
    for database, things in ((plan.incoming, plan.new), (plan.target, plan.old)):
        if database in connection.strings("SHOW DATABASES"):
            _give_back_triggers(connection, database, things)
    put_events(connection, plan.target, plan.old, enable=True)
    for name in plan.marked:
        if marks.mark_of(connection, name) is not None:
            marks.unmark(connection, name)
    connection.execute(f"DROP DATABASE {quoted(plan.kept)}")


def _give_back_triggers(connection: Connection, database: str, things: tuple[Stored, ...]) -> None:
    """All are made anew: one that is left would come before those it followed."""
    triggers = [thing for thing in things if thing.kind == "TRIGGER"]
    query = "SELECT count(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s"
    if connection.value(query, [database]) == len(triggers):
        return
    drop_stored(connection, database, ["TRIGGER"])
    problems = create_stored(connection, database, triggers)
    if problems:
        raise pymysql.err.OperationalError(0, "; ".join(problems))


def _finish(connection: Connection, plan: Plan) -> list[str]:
    """After the tables have moved. What it does can be done again."""
    connection.execute(f"SET SESSION lock_wait_timeout = {_UNDO_SECONDS}, foreign_key_checks = 0")
    drop_stored(connection, plan.target)
    swap.follow_sequences(connection, plan.target, plan.kept)
    swap.follow_sequences(connection, plan.incoming, plan.target)
    options = _charset(connection, plan.incoming)
    if options:
        connection.execute(f"ALTER DATABASE {quoted(plan.target)} {options}")
    wrong = create_stored(connection, plan.target, plan.new)
    drop_stored(connection, plan.kept)
    lost = create_stored(connection, plan.kept, plan.old)
    put_events(connection, plan.target, plan.new, enable=True)
    _drop_emptied(connection, plan.incoming)
    marks.close_plan(connection, plan.kept)
    if wrong:
        raise DatabaseError(
            f"{plan.target!r} was replaced, but not all could be created in it: {'; '.join(wrong)}",
            f"create it by hand; what was there is kept as {plan.kept!r}",
        )
    return [f"could not be created again in {plan.kept}: {each}" for each in lost]


def _drop_emptied(connection: Connection, name: str) -> None:
    """What the new tables came from, unless somebody has put something into it meanwhile."""
    if _names(connection, name) - {marks.PLAN} - set(connection.strings(_VIEWS, [name])):
        return
    connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")


_VIEWS = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s"
