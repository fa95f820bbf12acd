"""The swap of two databases: two renames in one transaction, without sessions in either.

New sessions are kept out by the lock that a rename holds on its database from the start: a session
that connects then waits for the end of the transaction. ALLOW_CONNECTIONS or a connection limit
would have to be committed before the swap, and a crash in between would leave the database closed.
Sessions that are connected are ended meanwhile, over a second connection.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import psycopg
from psycopg import errors, sql

from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of
from covetbackup.core.databases.retained import Session, retained_name
from covetbackup.core.errors import BadSetting, DatabaseError, ServerBusy, TargetNotEmpty

NAME_BYTES = 63
_LOCK_SECONDS = 30
_PAUSE_SECONDS = 0.05


def refuse_irreplaceable(connection: Connection, target: str) -> None:
    """Raise `BadSetting` or `DatabaseError` unless `target` exists and this role may rename it."""
    row = connection.execute(_TARGET, {"name": target}).fetchone()
    if row is None:
        raise BadSetting(
            f"there is no database {target!r} to replace", "restore it as a new database"
        )
    is_template, is_ours, owner, prepared = row
    if is_template or target.startswith(PREFIX) or target == connection.info.dbname:
        raise BadSetting(
            f"database {target!r} belongs to the server itself and cannot be replaced",
            "restore under a new name",
        )
    if not is_ours:
        raise DatabaseError(
            f"the role {connection.info.user!r} may not rename database {target!r}",
            f"it needs CREATEDB, and to be its owner or a member of {owner}",
        )
    if prepared:
        raise DatabaseError(
            f"database {target!r} has prepared transactions: {', '.join(prepared)}",
            "COMMIT PREPARED or ROLLBACK PREPARED them first",
        )


_TARGET = """
SELECT datistemplate,
       rolsuper OR rolcreatedb AND pg_has_role(current_user, datdba, 'USAGE'),
       pg_get_userbyid(datdba),
       ARRAY (SELECT gid FROM pg_prepared_xacts WHERE database = datname ORDER BY gid)
FROM pg_database, pg_roles WHERE datname = %(name)s AND rolname = current_user
"""


def free_retained_name(connection: Connection, target: str, now: datetime) -> str:
    """Return the name that `target` will have once it is replaced at `now`."""

    def is_taken(name: str) -> bool:
        return identity_of(connection, name) is not None

    return retained_name(target, now, limit=NAME_BYTES, is_taken=is_taken)


def identity_of(connection: Connection, name: str) -> str | None:
    """Return the OID of the database `name`, which a rename does not change; None if it is gone."""
    query = "SELECT oid::text FROM pg_database WHERE datname = %s"
    row = connection.execute(query, (name,)).fetchone()
    return None if row is None else str(row[0])


def find_by_identity(connection: Connection, identity: str) -> str | None:
    """Return the name that the database of this `identity` has now, None if it is gone."""
    query = "SELECT datname FROM pg_database WHERE oid::text = %s"
    row = connection.execute(query, (identity,)).fetchone()
    return None if row is None else str(row[0])


def sessions_in(connection: Connection, name: str) -> list[Session]:
    """Return the sessions connected to the database `name`, the longest first."""
    rows = connection.execute(_SESSIONS, (name,)).fetchall()
    return [Session(*row) for row in rows]


_SESSIONS = """
SELECT coalesce(usename, ''),
       coalesce(nullif(application_name, ''), nullif(backend_type, 'client backend'), ''),
       coalesce(host(client_addr), CASE WHEN backend_type IS NULL THEN '' ELSE 'local' END),
       coalesce(state, ''), backend_start
FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()
  AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
ORDER BY backend_start, pid
"""


def swap(
    connection: Connection,
    second: Connection,
    *,
    target: str,
    incoming: str,
    retained_as: str,
    statements: Sequence[sql.Composed] = (),
) -> None:
    """Rename `target` to `retained_as` and `incoming` to `target`, or change nothing.

    `statements` are run in the same transaction, before the renames. `second` is another
    maintenance connection, over which sessions are ended. Raises `DatabaseError`,
    `TargetNotEmpty`, `ServerBusy`.
    """
    refusals: dict[str, str] = {}
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            for statement in statements:
                connection.execute(statement)
            with _ending_sessions(second, [target, incoming], refusals):
                rename_database(connection, target, retained_as)
                rename_database(connection, incoming, target)
    except errors.ObjectInUse as error:
        left = "; ".join(refusals.values()) or line_of(error)
        raise DatabaseError(
            f"sessions in {target!r} could not be ended, so it was not replaced: {left}",
            "end them, or grant the role pg_signal_backend",
        ) from error
    except errors.DuplicateDatabase as error:
        raise TargetNotEmpty(f"database {retained_as!r} was created during the swap") from error
    except errors.LockNotAvailable as error:
        raise ServerBusy(
            f"database {target!r} is locked, so it was not replaced",
            "is it being copied or altered? try again later",
        ) from error
    except errors.DatabaseError as error:
        raise DatabaseError(f"database {target!r} was not replaced: {line_of(error)}") from error


def rename_database(connection: Connection, name: str, new: str) -> None:
    """Rename database `name` to `new`."""
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(new)))


@contextmanager
def _ending_sessions(
    connection: Connection, names: Sequence[str], refusals: dict[str, str]
) -> Iterator[None]:
    """End sessions in the databases `names` again and again while in the context.

    `refusals` gets why some could not be ended, by role.
    """
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            _terminate_sessions(connection, names, refusals)
            done.wait(_PAUSE_SECONDS)

    thread = threading.Thread(target=work, name="covet-postgresql-end-sessions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _terminate_sessions(
    connection: Connection, names: Sequence[str], refusals: dict[str, str]
) -> None:
    # One at a time: a session that this role may not end must not save the others.
    try:
        found = connection.execute(_INSIDE, (list(names),)).fetchall()
    except psycopg.Error as error:
        refusals[""] = line_of(error)
        return
    for pid, user in found:
        try:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        except psycopg.Error as error:
            refusals[user] = f"one of {user}: {line_of(error)}"


_INSIDE = """
SELECT pid, coalesce(usename, backend_type, '') FROM pg_stat_activity
WHERE datname = ANY (%s) AND pid <> pg_backend_pid()
  AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
"""


def drop_retained(connection: Connection, name: str) -> None:
    """Drop a retained database without sessions. Raises `ServerBusy`, `DatabaseError`."""
    try:
        query = "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate"
        if connection.execute(query, (name,)).fetchone():  # a template cannot be dropped
            unmark = sql.SQL("ALTER DATABASE {} IS_TEMPLATE false")
            connection.execute(unmark.format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    except errors.ObjectInUse as error:
        raise ServerBusy(
            f"database {name!r} is in use and was not dropped: {line_of(error)}",
            "end its sessions, or drop its subscriptions and replication slots, first",
        ) from error
    except errors.DatabaseError as error:
        raise DatabaseError(f"cannot drop database {name!r}: {line_of(error)}") from error
