"""The scratch database of a restore, and the marker of an unfinished target.

A scratch database's name carries the time of its creation. Its maker holds a server-wide lock on
the name, so a cleanup never drops one in use.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import takewhile

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.backup.privileges import account_of
from covetbackup.core.databases.mysql.inventory.options import options_sql
from covetbackup.core.databases.mysql.server.connection import (
    Connection,
    code_of,
    connect,
    is_lost,
    quoted,
    text_of,
    translated,
)
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import BadSetting, CovetError, DatabaseError, TargetNotEmpty
from covetbackup.core.stream.secret import Secret

_log = logging.getLogger(__name__)

PREFIX = "covet_tmp_"
UNFINISHED = "covet_restore_unfinished"
"""A table that marks a target which is being made of a scratch database; both their names are its
comment. It is in the scratch database until the target exists, and then there: while it is, the
target is not whole, and belongs to the restore."""

_NAME = re.compile(rf"{PREFIX}(\d{{8}}t\d{{6}})z_[0-9a-f]{{8}}")
_STAMP = "%Y%m%dt%H%M%S"
_LONGEST = 64
_SAID_AFTER_SECONDS = 8
_LIMIT_SECONDS = 60


def scratch_name(now: datetime) -> str:
    """Return a unique name for a scratch database created at `now`."""
    return f"{PREFIX}{now.astimezone(UTC).strftime(_STAMP)}z_{secrets.token_hex(4)}"


def refuse_taken(connection: Connection, target: str) -> None:
    """Raise `TargetNotEmpty` if a database of that name exists, even an empty one.

    An empty one may be in use, and about to be filled.
    """
    if len(target) > _LONGEST:
        raise BadSetting(f"the database name {target!r} is longer than {_LONGEST} characters")
    query = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
    if connection.value(query, [target]) is not None:
        raise TargetNotEmpty(
            f"database {target!r} exists already",
            "restore under a new name; or drop that database first, even if it is empty:"
            " what was granted on its name stays",
        )


def create(connection: Connection, name: str, expected: Inventory) -> None:
    """Create the database `name` with the options that `expected` records.

    Raises `TargetNotEmpty` if it exists, `DatabaseError`.
    """
    options = options_sql(connection, expected.settings or {})
    try:
        connection.execute(f"CREATE DATABASE {quoted(name)} {options}")
    except pymysql.err.Error as error:
        raise _not_created(connection, name, error) from error


def _not_created(connection: Connection, name: str, error: pymysql.err.Error) -> CovetError:
    if code_of(error) == ER.DB_CREATE_EXISTS:
        return TargetNotEmpty(f"database {name!r} was created during the restore")
    if code_of(error) in (ER.DBACCESS_DENIED_ERROR, ER.ACCESS_DENIED_ERROR):
        account = account_of(connection)
        place = "`covet\\_tmp\\_%`" if name.startswith(PREFIX) else quoted(name)
        hint = f"run as an administrator: GRANT ALL ON {place}.* TO {account};"
    else:
        hint = "does this server have the character set and collation of the original?"
    return DatabaseError(f"cannot create database {name!r}: {text_of(error)}", hint)


def hold(connection: Connection, name: str) -> None:
    """Keep cleanups from dropping scratch database `name` while `connection` is open."""
    connection.execute("SELECT GET_LOCK(%s, 0)", [name])


def end_sessions(connection: Connection, name: str) -> None:
    """End the sessions that use the database `name`.

    A statement of a client that is gone goes on, and keeps tables from being dropped; so does the
    transaction of one that the server has not heard of for hours.
    """
    query = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s"
    for session in connection.strings(query, [name]):
        try:
            connection.execute(f"KILL {session}")
        except pymysql.err.Error:
            pass  # it ended by itself


def drop(connection: Connection, name: str, *, say: Callable[[str], None]) -> None:
    """Drop a scratch database with everything in it."""
    if not _NAME.fullmatch(name):
        raise DatabaseError(f"refused to drop {name!r}, which is not a scratch database")
    _drop_database(connection, name, say=say)


def _drop_database(connection: Connection, name: str, *, say: Callable[[str], None]) -> None:
    """Tells `say` after a few seconds that others hold its tables; raises `DatabaseError` after a
    minute, when all of it is still there."""
    why = "other sessions use its tables (SHOW PROCESSLIST)"
    for seconds in (_SAID_AFTER_SECONDS, _LIMIT_SECONDS - _SAID_AFTER_SECONDS):
        connection.execute(f"SET SESSION lock_wait_timeout = {seconds}")
        try:
            connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")
            return
        except pymysql.err.Error as error:
            if code_of(error) != ER.LOCK_WAIT_TIMEOUT:
                raise
        say(f"dropping database {name!r} waits: {why}")
    raise DatabaseError(
        f"scratch database {name!r} was not dropped within {_LIMIT_SECONDS} s: {why}; it is left"
        " on the server, whole",
        f"end those sessions, then run: DROP DATABASE {quoted(name)}",
    )


def note_target(connection: Connection, scratch: str, target: str) -> None:
    """Record in the scratch database that `target` will be created, before it is.

    A target of a restore that was killed before it could mark it would belong to no restore.
    """
    # The names are in the comment: one statement, so that no mark is ever seen without them.
    connection.execute(
        f"CREATE TABLE {quoted(scratch)}.{UNFINISHED} (i int PRIMARY KEY) ENGINE = InnoDB"
        f" COMMENT = {connection.literal(f'{scratch} {target}')}"
    )


def forget_target(connection: Connection, scratch: str) -> None:
    """Remove the record of `note_target`."""
    connection.execute(f"DROP TABLE {quoted(scratch)}.{UNFINISHED}")


def mark_unfinished(connection: Connection, scratch: str, target: str) -> None:
    """Move the mark from the scratch database to `target`, which exists now."""
    connection.execute(
        f"RENAME TABLE {quoted(scratch)}.{UNFINISHED} TO {quoted(target)}.{UNFINISHED}"
    )


def drop_unfinished(connection: Connection, scratch: str) -> None:
    """Drop the target that is still marked or noted as being made of `scratch`, if there is one."""
    for target, made_of in _targets(connection).items():
        if made_of == scratch:
            connection.execute(f"DROP DATABASE {quoted(target)}")


def _targets(connection: Connection) -> dict[str, str]:
    """Targets that are not whole, and the scratch database each is made of."""
    query = "SELECT TABLE_SCHEMA, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_NAME=%s"
    found: dict[str, str] = {}
    for place, comment in connection.rows(query, [UNFINISHED]):
        scratch, _, target = comment.partition(" ")
        if place != scratch:
            found[place] = scratch
        elif _is_empty(connection, target):
            found[target] = scratch
    return found


_EMPTY = """
SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s
AND NOT EXISTS (SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s)
AND NOT EXISTS (SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s)
AND NOT EXISTS (SELECT 1 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s)
"""


def _is_empty(connection: Connection, database: str) -> bool:
    """Whether it exists with nothing in it."""
    return connection.value(_EMPTY, [database] * _EMPTY.count("%s")) is not None


def cleanup_scratch(
    settings: MysqlSettings,
    older_than: datetime,
    password: Secret | None = None,
    *,
    say: Callable[[str], None] = _log.warning,
) -> list[str]:
    """Drop what restores that were killed left behind, and return the names.

    These are scratch databases, and targets that were not whole yet, of restores begun before
    `older_than` (aware UTC). One whose restore still runs, here or on another machine, is left
    alone. `say` gets the reason for each that cannot be dropped; the others are dropped all the
    same.
    """
    with translated(settings), connect(settings, password) as connection:
        return [
            name
            for scratch in sorted(set(_unfinished(connection).values()))
            if _is_older(scratch, older_than)
            for name in _drop_abandoned(connection, scratch, say)
        ]


def _unfinished(connection: Connection) -> dict[str, str]:
    """What is not whole, with the scratch database whose lock its restore holds. Targets come
    first: they are found by what is in scratch databases."""
    scratch = connection.strings("SHOW DATABASES LIKE 'covet\\_tmp\\_%'")
    return _targets(connection) | {name: name for name in scratch}


def _is_older(name: str, older_than: datetime) -> bool:
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) < older_than


def _drop_abandoned(connection: Connection, scratch: str, say: Callable[[str], None]) -> list[str]:
    """Drop what a restore left, unless it lives; the names."""
    if connection.value("SELECT GET_LOCK(%s, 0)", [scratch]) != 1:
        return []
    try:
        # Looked at again: until its lock was to be had, the restore may have made it real.
        left = [name for name, of in _unfinished(connection).items() if of == scratch]
        end_sessions(connection, scratch)
        # A target is found by what is in its scratch database, which therefore outlives it.
        return list(takewhile(lambda name: _is_dropped(connection, name, say), left))
    finally:
        connection.execute("DO RELEASE_LOCK(%s)", [scratch])


def _is_dropped(connection: Connection, name: str, say: Callable[[str], None]) -> bool:
    try:
        _drop_database(connection, name, say=say)
    except DatabaseError as error:
        say(str(error))
        return False
    except pymysql.err.Error as error:
        if is_lost(error):
            raise
        say(f"scratch database {name!r} cannot be dropped: {text_of(error)}")
        return False
    return True
