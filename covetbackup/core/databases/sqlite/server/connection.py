"""Connections to SQLite files, and SQLite's errors as our own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from covetbackup.core.databases.sqlite.server.url import open_uri
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    CovetError,
    DatabaseError,
    DatabaseUnavailable,
    ServerBusy,
    SourceFailed,
    StorageFull,
    ToolTooOld,
)
from covetbackup.core.progress import Progress

BUSY_SECONDS = 10.0
# PRAGMA table_list, which tells virtual and shadow tables apart without parsing SQL.
OLDEST_SQLITE = (3, 37, 0)
# A step is one operation of SQLite's machine: counting makes 20 million in a second, vacuuming
# rows of 2 KB 5 million. A tick costs a microsecond.
_STEPS_BETWEEN_TICKS = 20_000


def require_sqlite() -> None:
    """Raise `ToolTooOld` if the SQLite library linked into Python lacks what is needed."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise ToolTooOld(
            f"SQLite {sqlite3.sqlite_version} is older than {wanted}",
            "use a Python that is linked with a newer SQLite library",
        )


@contextmanager
def live_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection to a database in use; it takes part in the locking of the others.

    Opened for reading and writing although nothing is written through it: SQLite then rolls back a
    hot journal as any next user would, and as the last to leave removes `-wal` and `-shm` again. A
    read-only connection leaves both behind, owned by the backup's user, and the application may
    then be unable to open them. SQLite falls back to reading where it may not write. Used by one
    thread at a time, not always the same.
    """
    uri = open_uri(path, mode="rw")
    with translated(path), closing(_connect(uri)) as connection:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        yield connection


@contextmanager
def private_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection to a finished file that no other process uses.

    It takes no locks, creates no `-wal` and writes nothing. `trusted_schema` is off because the
    file may come from anywhere.
    """
    uri = open_uri(path, mode="ro", immutable="1")
    with translated(path), closing(_connect(uri)) as connection:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        yield connection


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def pragma(connection: sqlite3.Connection, name: str) -> str:
    """Return the value of a PRAGMA that has one value."""
    row = connection.execute(f"PRAGMA {name}").fetchone()
    return "" if row is None else str(row[0])


@contextmanager
def reporting(connection: sqlite3.Connection, progress: Progress) -> Iterator[None]:
    """Let long statements report to `progress` while they run, and end when it is cancelled."""
    cancelled: list[Cancelled] = []

    def tick() -> int:
        try:
            progress.advance(0)
        except Cancelled as error:
            cancelled.append(error)
        return len(cancelled)

    connection.set_progress_handler(tick, _STEPS_BETWEEN_TICKS)
    try:
        yield
    except sqlite3.OperationalError:
        # SQLite reports only "interrupted"; this has the operator's reason.
        if cancelled:
            raise cancelled[0] from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of `sqlite3` as the engine's own, about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _as_covet_error(path, error) from error


def _as_covet_error(path: Path, error: sqlite3.Error) -> CovetError:
    name = getattr(error, "sqlite_errorname", "")
    for prefix, kind, words, hint in _MEANINGS:
        if name.startswith(prefix):
            return kind(f"{path}: {words} ({error})", hint)
    return DatabaseError(f"{path}: {error}")


_MEANINGS: tuple[tuple[str, type[CovetError], str, str], ...] = (
    (
        "SQLITE_NOTADB",
        DatabaseUnavailable,
        "not a SQLite database",
        "is it encrypted (SQLCipher, SEE), or another kind of file?",
    ),
    (
        "SQLITE_CORRUPT",
        DatabaseError,
        "the database is damaged",
        "run PRAGMA integrity_check, then restore the last good backup or salvage with .recover",
    ),
    (
        "SQLITE_READONLY_ROLLBACK",
        DatabaseUnavailable,
        "a hot journal must be rolled back first",
        "a writer died; open the database once with write permission, for example with its program",
    ),
    (
        "SQLITE_READONLY",
        DatabaseUnavailable,
        "no write permission where SQLite needs it",
        "run the backup as the user that owns the database",
    ),
    (
        "SQLITE_CANTOPEN",
        DatabaseUnavailable,
        "cannot be opened",
        "may this user read the file, and write in its directory (-wal, -shm)?",
    ),
    (
        "SQLITE_BUSY",
        ServerBusy,
        "another program holds a lock",
        "is there a long write transaction, or locking_mode=EXCLUSIVE?",
    ),
    ("SQLITE_LOCKED", ServerBusy, "another connection holds a lock", "try again later"),
    (
        "SQLITE_FULL",
        StorageFull,
        "no room is left",
        "free space, or name another staging directory",
    ),
    ("SQLITE_IOERR", SourceFailed, "reading or writing failed", "is the disk healthy?"),
    ("SQLITE_PERM", DatabaseUnavailable, "access refused", "may this user read the file?"),
    ("SQLITE_TOOBIG", BadSetting, "too large for this SQLite", ""),
)
