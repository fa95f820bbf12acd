"""The methods of taking a snapshot of a live database, as context managers of a `FileSnapshot`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from covetbackup.core.databases.sqlite.backup.pages import image_of
from covetbackup.core.databases.sqlite.backup.session import FileSnapshot
from covetbackup.core.databases.sqlite.backup.wal import Overlay, WalState, read_overlay
from covetbackup.core.databases.sqlite.backup.walindex import begin_read, log_state
from covetbackup.core.databases.sqlite.restore.staging import staging_directory
from covetbackup.core.databases.sqlite.server.connection import (
    live_connection,
    pragma,
    private_connection,
    reporting,
    translated,
)
from covetbackup.core.databases.sqlite.server.fd_cache import shared_descriptor
from covetbackup.core.databases.sqlite.server.source import SourceFile, refuse_network
from covetbackup.core.databases.sqlite.server.url import open_uri
from covetbackup.core.errors import BadSetting, DatabaseUnavailable, ServerBusy
from covetbackup.core.progress import Progress

# 4 MiB of 4 KiB pages: a few milliseconds between two reports of progress.
_BACKUP_STEP_PAGES = 1024
_QUIET_MILLISECONDS = 1000


class Method(StrEnum):
    """The methods of taking a snapshot."""

    WAL = "wal"  # read file and log in place under a read mark; no staging; needs WAL mode
    BACKUP = "backup"  # online backup into a staging file; a rollback-journal writer waits
    VACUUM = "vacuum"  # VACUUM INTO a staging file: compact, but rowids without a key may change
    COPY = "copy"  # read the file in place; only while nobody writes, and nobody can until the end


@contextmanager
def snapshot_by_wal(
    source: SourceFile, progress: Progress, staging: Path | None
) -> Iterator[FileSnapshot]:
    """Take a snapshot by a read transaction: writers go on, and nothing is staged.

    Pages are read from file and log; `walindex.begin_read` says why they are one state. Rows are
    counted in the same transaction, so inventory and pages agree exactly.
    """
    refuse_network(source.path)
    with ExitStack() as stack:
        connection, shm = _enter_wal(stack, source)
        database = stack.enter_context(shared_descriptor(source.path))
        source.prove_same()
        state = begin_read(connection, shm)
        stack.callback(_end_transaction, connection)
        page_size = int(pragma(connection, "page_size"))
        overlay = None
        if not state.complete:
            overlay = _overlay(stack, source, page_size, state)
        page_count = int(pragma(connection, "page_count"))
        yield FileSnapshot(
            connection=connection,
            image=image_of(database, page_size, page_count, overlay),
            taken_at=datetime.now(UTC),
            journal_mode="wal",
            position=state.position,
            prove_unchanged=source.prove_same,
        )


@contextmanager
def snapshot_by_copy(
    source: SourceFile, progress: Progress, staging: Path | None
) -> Iterator[FileSnapshot]:
    """Take a snapshot of the file alone under a write lock: writers wait until the backup ends.

    The lock proves that the file does not change. Raises `ServerBusy` if it is not acquired within
    a second, or if a log holds pages that the file lacks. There is no hot journal: SQLite rolled it
    back when the database was opened.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(live_connection(source.path))
        journal_mode = pragma(connection, "journal_mode")
        connection.execute(f"PRAGMA busy_timeout={_QUIET_MILLISECONDS}")
        _lock_writers(connection, source.path)
        stack.callback(_end_transaction, connection)
        if journal_mode == "wal":
            _require_empty_log(source.path)
        database = stack.enter_context(shared_descriptor(source.path))
        source.prove_same()
        size, count = int(pragma(connection, "page_size")), int(pragma(connection, "page_count"))
        yield FileSnapshot(
            connection=connection,
            image=image_of(database, size, count),
            taken_at=datetime.now(UTC),
            journal_mode=journal_mode,
            prove_unchanged=source.prove_same,
        )


@contextmanager
def snapshot_by_online_backup(
    source: SourceFile, progress: Progress, staging: Path | None
) -> Iterator[FileSnapshot]:
    """Take a snapshot by the online backup API into a staging file, under one read transaction.

    Without that transaction a commit makes the next step start the copy anew: with a writer at 20
    commits a second a 58 MB database never ended. In rollback-journal modes a writer waits until
    the staging file is written, not for the upload.
    """

    def copy(connection: sqlite3.Connection, target: Path) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        size = int(pragma(connection, "page_size"))
        with closing(sqlite3.connect(open_uri(target, mode="rw"), uri=True)) as staged:
            # A killed staging file is thrown away: neither journal nor sync can help it.
            staged.execute("PRAGMA journal_mode=OFF")
            staged.execute("PRAGMA synchronous=OFF")
            report = _stepwise(progress, size)
            connection.backup(staged, pages=_BACKUP_STEP_PAGES, progress=report, sleep=0.0)
        connection.execute("ROLLBACK")

    with _staged(source, progress, staging, copy) as state:
        yield state


@contextmanager
def snapshot_by_vacuum(
    source: SourceFile, progress: Progress, staging: Path | None
) -> Iterator[FileSnapshot]:
    """Take a snapshot by `VACUUM INTO` a staging file.

    Free pages are left out, and each row is read on the way.
    """

    def vacuum(connection: sqlite3.Connection, target: Path) -> None:
        with reporting(connection, progress):
            connection.execute("VACUUM INTO ?", (open_uri(target),))

    with _staged(source, progress, staging, vacuum) as state:
        yield state


@contextmanager
def _staged(
    source: SourceFile,
    progress: Progress,
    staging: Path | None,
    fill: Callable[[sqlite3.Connection, Path], None],
) -> Iterator[FileSnapshot]:
    with ExitStack() as stack:
        with live_connection(source.path) as connection:
            size = int(pragma(connection, "page_size")) * int(pragma(connection, "page_count"))
            target = stack.enter_context(staging_directory(staging, size)) / "staged.sqlite"
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            progress.phase("stage", size)
            journal_mode, taken_at = pragma(connection, "journal_mode"), datetime.now(UTC)
            if size:
                fill(connection, target)
        source.prove_same()
        staged = stack.enter_context(private_connection(target))
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        target.unlink()
        page_size, count = int(pragma(staged, "page_size")), int(pragma(staged, "page_count"))
        image = image_of(descriptor, page_size, count)
        yield FileSnapshot(staged, image, taken_at, journal_mode)


def _enter_wal(stack: ExitStack, source: SourceFile) -> tuple[sqlite3.Connection, int]:
    connection = stack.enter_context(live_connection(source.path))
    if pragma(connection, "journal_mode") != "wal":
        raise BadSetting(f"{source.path} is not in WAL mode", "use the method 'backup'")
    return connection, stack.enter_context(_wal_index(source.path))


@contextmanager
def _wal_index(path: Path) -> Iterator[int]:
    index = path.with_name(path.name + "-shm")
    # Where it is not writable SQLite may keep an index of its own in memory, and this one lies.
    if not os.access(index, os.W_OK):
        raise DatabaseUnavailable(
            f"{index} is not writable by this user",
            "run the backup as the user that owns the database",
        )
    with shared_descriptor(index) as descriptor:
        yield descriptor


def _overlay(stack: ExitStack, source: SourceFile, page_size: int, state: WalState) -> Overlay:
    # No lock is ever taken on the log itself, so this descriptor may be closed.
    path = source.path.with_name(source.path.name + "-wal")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return read_overlay(descriptor, page_size, state)


def _require_empty_log(path: Path) -> None:
    # The write lock is held, so the index can only gain back-filled frames.
    with _wal_index(path) as shm:
        state = log_state(shm)
    if not state.complete:
        raise ServerBusy(
            f"{path} has up to {state.frames} pages in its log that the file lacks",
            "use the method 'wal' or 'backup', or run PRAGMA wal_checkpoint(TRUNCATE)",
        )


def _lock_writers(connection: sqlite3.Connection, path: Path) -> None:
    try:
        with translated(path):
            connection.execute("BEGIN IMMEDIATE")
    except ServerBusy as error:
        raise ServerBusy(f"{path} is being written", "use the method 'wal' or 'backup'") from error


def _stepwise(progress: Progress, page_size: int) -> Callable[[int, int, int], None]:
    done = 0

    def report(_status: int, remaining: int, total: int) -> None:
        nonlocal done
        now = (total - remaining) * page_size
        progress.advance(max(0, now - done))
        done = now

    return report


def _end_transaction(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
