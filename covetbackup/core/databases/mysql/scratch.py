"""The scratch database of a restore: made, dropped, swept; and the mark of an unfinished target.

A scratch database's name carries the time of its creation. Its maker holds a server-wide lock on
the name, so a sweep never takes a living one.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.connection import (
    Connection,
    code_of,
    connect,
    quoted,
    text_of,
    translated,
)
from covetbackup.core.databases.mysql.privileges import account_of
from covetbackup.core.databases.mysql.settings import ConnectionSettings
from covetbackup.core.errors import BadSetting, CovetError, DatabaseError, TargetNotEmpty
from covetbackup.core.stream.secret import Secret

PREFIX = "covet_tmp_"
UNFINISHED = "covet_restore_unfinished"
"""A table in a target that is being made of a scratch database, whose name is its comment. While it
is there the target is not whole, and belongs to the restore."""

_NAME = re.compile(rf"{PREFIX}(\d{{8}}t\d{{6}})z_[0-9a-f]{{8}}")
_STAMP = "%Y%m%dt%H%M%S"
_LONGEST = 64


def scratch_name(now: datetime) -> str:
    return f"{PREFIX}{now.astimezone(UTC).strftime(_STAMP)}z_{secrets.token_hex(4)}"


def refuse_taken(connection: Connection, target: str) -> None:
    """Raises `TargetNotEmpty` if a database of that name exists, even an empty one: it may be
    somebody's, about to be filled."""
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
    """A database of that name with the character set and collation that `expected` records.

    Raises `TargetNotEmpty` if it exists, `DatabaseError`.
    """
    settings = expected.settings or {}
    options = ""
    if settings.get("character_set") and settings.get("collation"):
        charset, collation = (_word(settings[key]) for key in ("character_set", "collation"))
        options = f" CHARACTER SET {charset} COLLATE {collation}"
    try:
        connection.execute(f"CREATE DATABASE {quoted(name)}{options}")
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


def _word(name: str) -> str:
    # From a manifest, so never pasted into a statement unseen.
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise BadSetting(f"{name!r} is no character set or collation")
    return name


def hold(connection: Connection, name: str) -> None:
    """Keep sweeps away from scratch database `name` while `connection` lives."""
    connection.execute("SELECT GET_LOCK(%s, 0)", [name])


def drop(connection: Connection, name: str) -> None:
    """Drop a scratch database with everything in it."""
    if not _NAME.fullmatch(name):
        raise DatabaseError(f"refused to drop {name!r}, which is not a scratch database")
    connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")


def mark_unfinished(connection: Connection, target: str, scratch: str) -> None:
    # The name is in the comment: one statement, so that no mark is ever seen without it.
    connection.execute(
        f"CREATE TABLE {quoted(target)}.{UNFINISHED} (i int PRIMARY KEY) ENGINE = InnoDB"
        f" COMMENT = {connection.literal(scratch)}"
    )


def drop_unfinished(connection: Connection, scratch: str) -> None:
    """Drop the target that is still marked as being made of `scratch`, if there is one."""
    for target, made_of in _marked(connection).items():
        if made_of == scratch:
            connection.execute(f"DROP DATABASE {quoted(target)}")


def _marked(connection: Connection) -> dict[str, str]:
    """Databases with a mark, and the scratch database that it names."""
    query = "SELECT TABLE_SCHEMA, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_NAME=%s"
    return {str(target): str(scratch) for target, scratch in connection.rows(query, [UNFINISHED])}


def sweep_scratch(
    settings: ConnectionSettings, older_than: datetime, password: Secret | None = None
) -> list[str]:
    """Drop what restores begun before `older_than` (aware UTC) left behind when they were killed:
    scratch databases, and targets that were not whole yet; their names. One whose restore still
    runs, here or on another machine, is left alone."""
    with translated(settings), connect(settings, password) as connection:
        return [
            name
            for name, scratch in sorted(_unfinished(connection).items())
            if _is_older(scratch, older_than) and _drop_abandoned(connection, name, scratch)
        ]


def _unfinished(connection: Connection) -> dict[str, str]:
    """What is not whole, with the scratch database whose lock its restore holds."""
    scratch = connection.strings("SHOW DATABASES LIKE 'covet\\_tmp\\_%'")
    return {name: name for name in scratch} | _marked(connection)


def _is_older(name: str, older_than: datetime) -> bool:
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) < older_than


def _drop_abandoned(connection: Connection, name: str, scratch: str) -> bool:
    if connection.value("SELECT GET_LOCK(%s, 0)", [scratch]) != 1:
        return False
    try:
        # Looked at again: until its lock was to be had, the restore may have made it real.
        if _unfinished(connection).get(name) != scratch:
            return False
        connection.execute(f"DROP DATABASE {quoted(name)}")
    finally:
        connection.execute("DO RELEASE_LOCK(%s)", [scratch])
    return True
