"""The exported snapshot that a dump and its inventory share.

Tables are locked before the snapshot is taken. In the usual order a TRUNCATE or a rewriting ALTER
can commit in between, and every reader of the snapshot then sees an empty table without an error
(manual, section 13.5: "Caveats").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import errors, sql

from covetbackup.core.databases.postgresql.inventory import dumpable_objects
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import ServerBusy

LOCK_SECONDS = 10
_ATTEMPTS = 5
_BATCH = 500  # tables locked by one statement

# As pg_dump sets them: the same values must be seen, and row-level security must fail, not filter.
SESSION = (
    "SET DateStyle = ISO",
    "SET IntervalStyle = postgres",
    "SET extra_float_digits = 3",
    "SET synchronize_seqscans = off",
    "SET row_security = off",
    "SET max_parallel_workers_per_gather = 0",  # counting must stay a small load on the server
    "SET search_path = ''",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An exported snapshot, valid as long as the transaction of the connection it came from.

    `lsn` and `timeline` are "" where the role may not read them.
    """

    name: str
    lsn: str
    timeline: str
    taken_at: datetime
    standby: bool
    tables: tuple[Relation, ...]


def prepare_session(connection: Connection) -> None:
    """Give a session the settings in which a dump is read."""
    for statement in SESSION:
        connection.execute(statement)


def take_snapshot(connection: Connection, *, precheck: Callable[[], None]) -> Snapshot:
    """Open a transaction on `connection` that holds a lock on every table and a snapshot.

    `precheck` runs ahead of each attempt, outside any transaction. Raises `ServerBusy` when a table
    stays locked for 10 s, or when tables are created faster than they can be locked.
    """
    prepare_session(connection)
    for _ in range(_ATTEMPTS):
        precheck()
        snapshot = _attempt(connection)
        if snapshot is not None:
            return snapshot
        connection.execute("ROLLBACK")
    raise ServerBusy(
        "tables are created or dropped faster than they can be locked",
        "is a job creating tables in a loop? back up when it has ended",
    )


def _attempt(connection: Connection) -> Snapshot | None:
    # Also for the listing: pg_relation_size waits for an exclusive lock on a table.
    connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    try:
        listed = dumpable_objects.tables(connection)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _lock(connection, listed)
        snapshot = _export(connection)
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.WrongObjectType):
        return None  # dropped or replaced since it was listed
    except errors.LockNotAvailable as error:
        connection.execute("ROLLBACK")
        raise busy_error(connection) from error
    connection.execute("SET lock_timeout = 0")
    locked = {table.oid for table in _lockable(listed)}
    if any(table.oid not in locked for table in _lockable(snapshot.tables)):
        return None
    return snapshot


def _lockable(tables: Sequence[Relation]) -> list[Relation]:
    return [table for table in tables if table.kind in ("r", "p")]


def _lock(connection: Connection, listed: Sequence[Relation]) -> None:
    # LOCK TABLE takes no snapshot of its own: the transaction's is still open after it.
    tables = _lockable(listed)
    for start in range(0, len(tables), _BATCH):
        batch = tables[start : start + _BATCH]
        names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(table.quoted) for table in batch)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))


def _export(connection: Connection) -> Snapshot:
    row = connection.execute(
        "SELECT pg_export_snapshot(), pg_is_in_recovery(), clock_timestamp(),"
        " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
        " ELSE pg_current_wal_lsn() END::text"
    ).fetchone()
    assert row is not None
    name, standby, taken_at, lsn = row
    return Snapshot(
        name=name,
        lsn=lsn or "",
        timeline=_timeline(connection, standby=standby),
        taken_at=taken_at.astimezone(UTC),
        standby=standby,
        tables=tuple(dumpable_objects.tables(connection)),
    )


def _timeline(connection: Connection, *, standby: bool) -> str:
    # A WAL file name is exact but unavailable on a standby; the control file lags a checkpoint.
    query = (
        "SELECT timeline_id FROM pg_control_checkpoint()"
        if standby
        else "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
    )
    try:
        with connection.transaction():
            row = connection.execute(query).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return "" if row is None else str(row[0])


def busy_error(connection: Connection) -> ServerBusy:
    """Return the error for a lock that was not granted, naming the sessions that hold it."""
    rows = connection.execute(_EXCLUSIVE).fetchall()
    if not rows:
        return ServerBusy(f"a table stayed locked for {LOCK_SECONDS} s", "back up when it is free")
    holders = "; ".join(
        f"{table} by pid {pid} ({user}, {application or 'no application name'})"
        for table, pid, user, application in rows
    )
    return ServerBusy(
        f"locked for more than {LOCK_SECONDS} s: {holders}",
        "wait for that session, or end it with pg_terminate_backend",
    )


_EXCLUSIVE = """
SELECT DISTINCT l.relation::regclass::text, l.pid, a.usename, a.application_name
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = l.relation AND c.relkind IN ('r', 'p'))
LIMIT 3
"""
