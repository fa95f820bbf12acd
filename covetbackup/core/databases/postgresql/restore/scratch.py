"""The scratch database of a restore: created, renamed or dropped; the cleanup of those left behind.

Its name carries the time of its creation, because a comment is a second statement that a crash can
prevent. The restore holds an advisory lock on the name, so a cleanup never drops one in use.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from psycopg import errors, sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.restore.check_server import own_tablespace
from covetbackup.core.databases.postgresql.restore.drop_database import drop_database
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    connect,
    line_of,
    major_of,
)
from covetbackup.core.databases.postgresql.server.maintenance import connect_maintenance
from covetbackup.core.errors import (
    BadSetting,
    CovetError,
    DatabaseError,
    TargetNotEmpty,
)
from covetbackup.core.stream.secret import Secret

_log = logging.getLogger(__name__)

PREFIX = "covet_restore_"
_CLEANUP = "covetbackup cleanup"
_NAME = re.compile(rf"{PREFIX}(\d{{8}}t\d{{6}})z_[0-9a-f]{{8}}")
_STAMP = "%Y%m%dt%H%M%S"
_RENAME_ATTEMPTS = 5


def scratch_name(now: datetime) -> str:
    """Return a unique name for a scratch database created at `now`."""
    return f"{PREFIX}{now.astimezone(UTC).strftime(_STAMP)}z_{secrets.token_hex(4)}"


def refuse_taken(connection: Connection, target: str) -> None:
    """Raise `TargetNotEmpty` if a database of that name exists, even an empty one.

    An empty database may be in use: with grants and settings, and a program about to fill it. A
    rename could retain none of that, so the user decides.
    """
    if len(target.encode()) > 63:
        # The server would truncate the name with a notice only.
        raise BadSetting(f"the database name {target!r} is longer than 63 bytes")
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (target,)).fetchone():
        raise TargetNotEmpty(
            f"database {target!r} exists already",
            "restore under a new name; or drop that database first, even if it is empty",
        )


def create(connection: Connection, name: str, expected: Inventory, *, owner: str | None) -> None:
    """Create a database that only its owner and superusers can connect to.

    It has the encoding and locale that `expected` records, and its tablespace if that can be used.
    Raises `DatabaseError`.
    """
    connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    options = _creation_options(connection, expected.settings or {})
    tablespace, _ = own_tablespace(connection, expected)
    if tablespace:
        options.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(tablespace)))
    if owner is not None:
        options.append(sql.SQL("OWNER {}").format(sql.Identifier(owner)))
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
    try:
        connection.execute(statement.format(sql.Identifier(name), sql.SQL(" ").join(options)))
    except errors.InsufficientPrivilege as error:
        raise DatabaseError(
            f"the role {connection.info.user!r} may not create the database: {line_of(error)}",
            "grant it CREATEDB, and membership in the role that shall own the database",
        ) from error
    except errors.DatabaseError as error:
        raise DatabaseError(
            "cannot create a database with the encoding and locale of the backup:"
            f" {line_of(error)}",
            "does this server have the locale of the original?",
        ) from error
    revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
    connection.execute(revoke.format(sql.Identifier(name)))


def _creation_options(connection: Connection, settings: dict[str, str]) -> list[sql.Composed]:
    given = {
        "ENCODING": settings.get("encoding"),
        "LC_COLLATE": settings.get("collation"),
        "LC_CTYPE": settings.get("ctype"),
    }
    provider = settings.get("locale_provider", "libc")
    major = major_of(connection)
    if provider != "libc" and major >= 15:
        given["LOCALE_PROVIDER"] = provider
        given["ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE"] = settings.get("locale")
        given["ICU_RULES"] = settings.get("icu_rules") if major >= 16 else None
    elif major >= 15 and settings:
        given["LOCALE_PROVIDER"] = "libc"  # the template's own provider may be another
    return [
        sql.SQL(f"{option} {{}}").format(sql.Literal(value))
        for option, value in given.items()
        if value
    ]


def drop(
    connection: Connection,
    name: str,
    *,
    connect_inside: Callable[[], Connection],
    note: Callable[[str], None],
) -> None:
    """Drop a scratch database as `drop_database` does."""
    if not _NAME.fullmatch(name):
        raise DatabaseError(f"refused to drop {name!r}, which is not a scratch database")
    drop_database(connection, name, connect_inside=connect_inside, note=note)


def rename(
    connection: Connection, name: str, target: str, *, statements: list[sql.Composed]
) -> None:
    """Run `statements` and rename database `name` to `target` in one transaction: the commit point.

    Raises `TargetNotEmpty` if the name was taken meanwhile, `DatabaseError` if sessions stay in.
    """
    for attempt in range(1, _RENAME_ATTEMPTS + 1):
        _end_sessions(connection, name)
        try:
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement)
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(name), sql.Identifier(target)
                    )
                )
            return
        except errors.DuplicateDatabase as error:
            raise TargetNotEmpty(f"database {target!r} was created during the restore") from error
        except errors.ObjectInUse as error:
            if attempt == _RENAME_ATTEMPTS:
                raise DatabaseError(f"cannot rename {name!r}: {line_of(error)}") from error
        except errors.DatabaseError as error:
            raise DatabaseError(f"cannot finish database {target!r}: {line_of(error)}") from error


def _end_sessions(connection: Connection, name: str) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        (name,),
    )


def cleanup_scratch(
    settings: PostgresSettings,
    older_than: datetime,
    password: Secret | None = None,
    *,
    say: Callable[[str], None] = _log.warning,
) -> list[str]:
    """Drop scratch databases created before `older_than` (aware UTC), and return their names.

    One whose restore still runs, here or on another machine, is left alone. `say` gets the reason
    for each that cannot be dropped; the others are dropped all the same.
    """

    def connect_inside(name: str) -> Connection:
        return connect(settings.on(name), password, application=_CLEANUP)

    with connect_maintenance(settings, password, application=_CLEANUP) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1", (PREFIX,)
        ).fetchall()
        return [
            name
            for (name,) in rows
            if _is_older(name, older_than)
            and _drop_abandoned(connection, name, partial(connect_inside, name), say)
        ]


def _is_older(name: str, older_than: datetime) -> bool:
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) < older_than


def _drop_abandoned(
    connection: Connection,
    name: str,
    connect_inside: Callable[[], Connection],
    say: Callable[[str], None],
) -> bool:
    query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
    row = connection.execute(query, (name,)).fetchone()
    if row is None or not row[0]:
        return False
    try:
        drop(connection, name, connect_inside=connect_inside, note=say)
    except CovetError as error:
        say(str(error))
        return False
    finally:
        connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))
    return True
