"""Dropping of a scratch database with its subscriptions, within a time limit.

DROP DATABASE refuses a database that has a subscription, and waits without limit for a lock on the
database and for background processes, of an extension say, that stay connected to it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
from psycopg import errors, sql

from covetbackup.core.databases.postgresql.server.connection import Connection, line_of
from covetbackup.core.errors import DatabaseError

SAID_AFTER_SECONDS = 8
"""The server itself gives sessions 5 s to end before it refuses."""

LIMIT_SECONDS = 60


def drop_database(
    connection: Connection,
    name: str,
    *,
    connect_inside: Callable[[], Connection],
    note: Callable[[str], None],
) -> None:
    """Drop the database `name` with everything in it, ending the sessions there.

    `connect_inside` opens a connection to it; `note` gets after a few seconds what is waited for.
    Raises `DatabaseError` that tells what is left, after a minute or a refusal of the server.
    """
    try:
        _drop_subscriptions(connection, name, connect_inside)
        if _dropped_within(connection, name, SAID_AFTER_SECONDS):
            return
        note(f"dropping database {name!r} waits for {_obstacles(connection, name)}")
        if _dropped_within(connection, name, LIMIT_SECONDS):
            return
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise _not_dropped(connection, name, f": {line_of(error)}") from error
    waited = f" within {LIMIT_SECONDS} s: it waits for {_obstacles(connection, name)}"
    raise _not_dropped(connection, name, waited)


def _drop_subscriptions(
    connection: Connection, name: str, connect_inside: Callable[[], Connection]
) -> None:
    names = [row[0] for row in connection.execute(_SUBSCRIPTIONS, (name,))]
    if not names:
        return
    with closing(connect_inside()) as inside:
        for subscription in map(sql.Identifier, names):
            # Without its slot: that is the publisher's, where the original still uses it.
            for clause in ("DISABLE", "SET (slot_name = NONE)"):
                statement = sql.SQL("ALTER SUBSCRIPTION {} {}")
                inside.execute(statement.format(subscription, sql.SQL(clause)))
            inside.execute(sql.SQL("DROP SUBSCRIPTION {}").format(subscription))


def _dropped_within(connection: Connection, name: str, seconds: int) -> bool:
    connection.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(seconds * 1000)))
    try:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(statement.format(sql.Identifier(name)))
    except (errors.QueryCanceled, errors.ObjectInUse):
        return False
    finally:
        if not connection.closed:
            connection.execute("SET statement_timeout = 0")
    return True


def _obstacles(connection: Connection, name: str) -> str:
    rows = connection.execute(_OBSTACLES, {"name": name}).fetchall()
    found = "; ".join(f"{kind} with pid {pid} ({who})" for kind, pid, who in rows)
    return found or "a background process of the server, such as an extension's worker"


def _not_dropped(connection: Connection, name: str, why: str) -> DatabaseError:
    limit = connection.execute(
        "SELECT datconnlimit FROM pg_database WHERE datname = %s", (name,)
    ).fetchone()
    if limit is None:
        return DatabaseError(f"database {name!r} is gone, though the server refused{why}")
    # PostgreSQL marks with -2 what DROP DATABASE has begun to remove: no session can enter it.
    state = "half removed" if limit[0] == -2 else "whole"
    return DatabaseError(
        f"scratch database {name!r} was not dropped{why}; it is left on the server, {state}",
        f'end what is named, then run: DROP DATABASE "{name}" WITH (FORCE)',
    )


_SUBSCRIPTIONS = """
SELECT subname FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = %s)
"""
_OBSTACLES = """
SELECT coalesce(backend_type, 'session'), pid, coalesce(nullif(application_name, ''), 'no name')
FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND (datname = %(name)s OR pid IN (
  SELECT pid FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass
    AND objid = (SELECT oid FROM pg_database WHERE datname = %(name)s)))
UNION ALL
SELECT 'a replication slot', coalesce(active_pid, 0), slot_name
FROM pg_replication_slots WHERE database = %(name)s
UNION ALL
SELECT 'a prepared transaction', 0, gid FROM pg_prepared_xacts WHERE database = %(name)s
ORDER BY 1, 2 LIMIT 5
"""
