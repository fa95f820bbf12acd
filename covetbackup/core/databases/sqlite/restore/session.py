"""Restores of a file: a scratch file beside the target is filled, checked and published.

It is published by a hard link if the target is new, and by a swap (`replace.swap`) otherwise.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from covetbackup.core.databases.base import MemberRange, one_by_one
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.databases.sqlite.archive.integrity import (
    prove_integrity,
    prove_length,
    write_all,
)
from covetbackup.core.databases.sqlite.backup.session import MEMBER
from covetbackup.core.databases.sqlite.inventory.build import take_inventory
from covetbackup.core.databases.sqlite.replace import swap
from covetbackup.core.databases.sqlite.restore.staging import RESTORE_PREFIX
from covetbackup.core.databases.sqlite.server.connection import private_connection, reporting
from covetbackup.core.errors import (
    BadSetting,
    DatabaseError,
    Incomplete,
    SinkFailed,
    TargetNotEmpty,
)
from covetbackup.core.progress import Progress
from covetbackup.core.stream import disk
from covetbackup.core.stream.base import Sink

# SQLite would take a left-over journal or log of an older database for the new one's.
_SIDECARS = ("", *swap.SIDECARS)


@contextmanager
def open_restore(
    target: Path, progress: Progress, *, replace: bool = False
) -> Iterator[RestoreToFile]:
    """Open a session that fills a scratch file in the directory of `target` (the same file system).

    Raises `TargetNotEmpty`, `AccessRefused`, `BadSetting` if the directory is missing. Leaving
    without `commit` removes the scratch file; after `kill -9` it stays for `cleanup_scratch`.
    """
    retained_as = _retained_path(target) if replace else None
    if retained_as is None:
        refuse_taken(target)
    scratch = target.with_name(f"{RESTORE_PREFIX}{secrets.token_hex(8)}")
    with _create(scratch) as file:
        try:
            disk.lock(file.fileno())
            yield RestoreToFile(target, scratch, file, progress=progress, retained_as=retained_as)
        finally:
            _unlink(scratch)


def _retained_path(target: Path) -> Path:
    swap.refuse_irreplaceable(target)
    return swap.free_retained_path(target, datetime.now(UTC))


def refuse_taken(target: Path) -> None:
    """Raise `TargetNotEmpty` if the path, or a journal or log beside it, exists in any form."""
    for ending in _SIDECARS:
        path = target.with_name(target.name + ending)
        if os.path.lexists(path):
            raise TargetNotEmpty(f"{path} already exists", "choose a path that does not exist yet")


class RestoreToFile:
    """The `RestoreSession` of a file.

    A new file has mode 0600: a backup does not record modes. One that replaces another gets the
    owner and mode of that.
    """

    def __init__(
        self,
        target: Path,
        scratch: Path,
        file: FileIO,
        *,
        progress: Progress,
        retained_as: Path | None = None,
    ) -> None:
        self.resolved: ResolvedSelection | None = None
        self.retained_as = retained_as.name if retained_as else ""
        self._retained_path = retained_as
        self._target = target
        self._scratch = scratch
        self._file = file
        self._progress = progress
        self._received = False
        self._proven = False

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        return one_by_one(members)

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        """Return the sink for `main.sqlite`, once. Raises `BadSetting` for another member."""
        if piece.member != MEMBER or self._received:
            raise BadSetting(f"{piece.member} does not belong to a SQLite backup, or came twice")
        return _ScratchSink(self._scratch, self._file.fileno(), self._mark_received)

    def inventory(self) -> Inventory:
        """Prove that the scratch file is whole and count every row. Raises `Incomplete`.

        Rows that violate a foreign key are noted, not refused: SQLite allows them by default.
        """
        self._require_received()
        prove_length(self._scratch)
        with private_connection(self._scratch) as connection:
            with reporting(connection, self._progress):
                prove_integrity(connection)
                self._note_orphans(connection)
                inventory = take_inventory(connection, None)
        self._proven = True
        return inventory

    def commit(self) -> None:
        """Publish the scratch file under the target's name, durably.

        Raises `TargetNotEmpty`, `Incomplete`, `DatabaseError`. Crash safe: a file of the target's
        name exists only when it is whole and on disk.
        """
        if not self._proven:
            self.inventory()
        if self._retained_path is None:
            refuse_taken(self._target)
        _note_shortcomings(self._target.parent, self._progress)
        # Before it has its name: closing later would drop the locks of others in this process
        # that have opened the new database already, see `fd_cache`.
        self._file.close()
        if self._retained_path is None:
            _publish(self._scratch, self._target)
        else:
            swap.swap(self._target, self._scratch, self._retained_path)

    def _mark_received(self) -> None:
        self._received = True

    def _require_received(self) -> None:
        if not self._received:
            raise Incomplete(f"{MEMBER} has not been restored")

    def _note_orphans(self, connection: sqlite3.Connection) -> None:
        try:
            orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
        except sqlite3.OperationalError as error:
            # A parent table or its index may be missing: then the check itself cannot run.
            self._progress.note(f"foreign keys could not be checked: {error}")
            return
        if orphan is not None:
            self._progress.note(f"table {orphan[0]} has rows whose foreign key leads nowhere")


class _ScratchSink:
    def __init__(self, path: Path, descriptor: int, received: Callable[[], None]) -> None:
        self._path = path
        self._descriptor = descriptor
        self._received = received

    def write(self, chunk: bytes) -> None:
        write_all(self._descriptor, chunk, self._path)

    def commit(self) -> None:
        # Now rather than at the end: a disk that cannot keep the bytes says so before the proof.
        try:
            disk.sync(self._descriptor)
        except OSError as error:
            raise SinkFailed(f"{self._path} is not on disk: {error.strerror}") from error
        self._received()

    def abort(self) -> None:
        _unlink(self._path)


def _create(scratch: Path) -> FileIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with disk.translated(scratch.parent):
            return FileIO(os.open(scratch, flags, 0o600), "r+")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadSetting(f"{scratch.parent} is not a directory", "create it first") from error


def _publish(scratch: Path, target: Path) -> None:
    try:
        disk.publish(scratch, target)
        disk.sync_folder(target.parent)
    except FileExistsError as error:
        raise TargetNotEmpty(f"{target} appeared during the restore") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        state = "is there and whole, but not known to be on disk" if target.exists() else "is not"
        raise DatabaseError(
            f"{target} {state}: {reason}", "is there room, and is the disk sound?"
        ) from error


def _note_shortcomings(folder: Path, progress: Progress) -> None:
    with suppress(OSError):  # a shortcoming that matters fails where it is needed
        for sentence in disk.shortcomings(folder):
            progress.note(f"{folder}: {sentence}")


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
