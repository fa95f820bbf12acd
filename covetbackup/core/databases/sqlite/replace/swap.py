"""The swap of two database files by rename, under SQLite's exclusive lock on both.

All that was committed to the old database is in its file before the rename, so that it needs no log
or journal beside it under its new name, and none is left that SQLite would take for the new one's.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from covetbackup.core.databases.retained import retained_name
from covetbackup.core.databases.sqlite.server.connection import translated
from covetbackup.core.databases.sqlite.server.file_btime import birth_time
from covetbackup.core.databases.sqlite.server.source import is_mount_point, refuse_network
from covetbackup.core.databases.sqlite.server.url import open_uri
from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    DatabaseError,
    ServerBusy,
    TargetNotEmpty,
)
from covetbackup.core.stream import disk

SIDECARS = ("-wal", "-journal", "-shm")
NAME_BYTES = 255 - len("-journal")
_BUSY_SECONDS = 5.0


def refuse_irreplaceable(target: Path) -> None:
    """Raise `BadSetting` unless `target` is a file that another one may replace."""
    try:
        status = os.lstat(target)
    except OSError as error:
        raise BadSetting(
            f"there is no database {target} to be replaced", "restore it as a new database"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise BadSetting(f"{target} is a link or no regular file", "name the database file itself")
    with _lock_folder(target.parent):
        _drop_aliases(target)
    if os.lstat(target).st_nlink > 1:
        raise BadSetting(
            f"{target} has a second name",
            "a rename would leave that one behind: remove it, or restore under a new name",
        )
    refuse_network(target)
    if is_mount_point(target):
        raise BadSetting(
            f"{target} is mounted by itself, so no other file can take its place",
            "mount the folder it is in, or restore under a new name",
        )
    _require_hard_links(target.parent)


def _require_hard_links(folder: Path) -> None:
    try:
        is_fit = disk.has_hard_links(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AccessRefused(
            f"{folder} cannot be written: {reason}", "does it belong to the user that runs this?"
        ) from error
    if not is_fit:
        raise BadSetting(
            f"the file system of {folder} has no hard links, without which a database cannot be "
            "replaced safely",
            "restore under a new name and let the program use that one",
        )


def free_retained_path(target: Path, now: datetime) -> Path:
    """Return the path under which `target` will be retained once it is replaced."""

    def is_taken(name: str) -> bool:
        return any(os.path.lexists(target.with_name(name + end)) for end in ("", *SIDECARS))

    stem, ending = target.stem, target.suffix
    name = retained_name(stem, now, limit=NAME_BYTES, is_taken=is_taken, ending=ending)
    return target.with_name(name)


def swap(target: Path, incoming: Path, retained_as: Path) -> None:
    """Rename `target` to `retained_as` and `incoming` to `target`, or change nothing.

    `incoming` has the same owner, group and mode afterwards. Crash safe: a process that is killed
    leaves either file whole under the target's name; at worst the old one has both names, see
    `was_swapped`. Raises `ServerBusy` while another process uses one of them, `AccessRefused`,
    `TargetNotEmpty`, `DatabaseError`.
    """
    with (
        exclusive_lock(target) as status,
        exclusive_lock(incoming),
        _lock_folder(target.parent),
    ):
        _copy_ownership(incoming, status)
        _link(target, retained_as)
        try:
            _remove_sidecars(incoming)
            _remove_sidecars(target)
            disk.sync_folder(target.parent)
            os.replace(incoming, target)
        finally:
            _drop_alias(target, retained_as)
        disk.sync_folder(target.parent)


def was_swapped(target: Path, retained_as: Path) -> bool:
    """Return whether `retained_as` is the old database.

    If it is a second name of the target itself, which a killed swap leaves, it is removed: writing
    to one file by two names destroys it.
    """
    with _lock_folder(target.parent):
        return _drop_alias(target, retained_as)


def _drop_alias(target: Path, retained_as: Path) -> bool:
    """Remove `retained_as` if it is a second name of `target`; return whether it is a file."""
    try:
        retained = os.lstat(retained_as)
        if os.path.samestat(retained, os.lstat(target)):
            retained_as.unlink()
            return False
    except FileNotFoundError:
        return False
    return True


def identity_of(path: Path) -> str | None:
    """Return the identity of a file, which a rename does not change.

    It is None if there is no file, "" if it is not known: without its birth time a file cannot be
    told from a later one with its inode.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    birth = birth_time(path)
    return "" if birth is None else f"{status.st_dev}:{status.st_ino}:{birth}"


def find_by_identity(folder: Path, identity: str) -> str | None:
    """Return the current name in `folder` of the file with this identity.

    None if it is not there, or its identity is not known.
    """
    if not identity:
        return None
    with os.scandir(folder) as entries:
        return next((one.name for one in entries if identity_of(Path(one.path)) == identity), None)


def drop_retained(path: Path) -> None:
    """Remove a retained database that is not in use. Raises `ServerBusy`, `DatabaseError`."""
    with exclusive_lock(path):
        _remove_sidecars(path)
        path.unlink()
        disk.sync_folder(path.parent)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[os.stat_result]:
    """Hold SQLite's exclusive lock on a database; its file then holds all that was committed.

    The lock is refused while another program holds one: in WAL mode every program that has the
    file open does. SQLite removes `-wal` when the last connection closes, but not that of a file
    which was renamed meanwhile (`databaseIsUnmoved`).
    """
    uri = open_uri(path, mode="rw")
    with translated(path), closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as db:
        db.isolation_level = None
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        try:
            db.execute("BEGIN EXCLUSIVE")
            db.execute("COMMIT")
            row = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            raise _busy(path, error) from error
        if row[0] or _log_bytes(path):
            raise ServerBusy(f"the log of {path} could not be emptied", "try again later")
        yield os.lstat(path)


def _busy(path: Path, error: sqlite3.OperationalError) -> Exception:
    if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
        return ServerBusy(
            f"{path} is in use by another program", "stop what has it open, and try again"
        )
    return error


def _log_bytes(path: Path) -> int:
    with suppress(FileNotFoundError):
        return os.stat(path.with_name(path.name + "-wal")).st_size
    return 0


def _copy_ownership(path: Path, old: os.stat_result) -> None:
    """Give the file `path` the owner, group and mode of the old one."""
    try:
        new = os.lstat(path)
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            os.chown(path, old.st_uid, old.st_gid, follow_symlinks=False)
        # Where there is one mode for all files, changing it is refused, and nothing to do.
        if stat.S_IMODE(new.st_mode) != stat.S_IMODE(old.st_mode):
            os.chmod(path, stat.S_IMODE(old.st_mode))
    except OSError as error:
        raise AccessRefused(
            f"{path.name} cannot be given to the owner of the database it would replace",
            f"run the restore as uid {old.st_uid} with group {old.st_gid}, or as root",
        ) from error


def _link(target: Path, retained_as: Path) -> None:
    try:
        os.link(target, retained_as, follow_symlinks=False)
    except FileExistsError as error:
        raise TargetNotEmpty(f"{retained_as} appeared during the restore") from error
    except OSError as error:
        raise DatabaseError(
            f"{target} cannot be retained as {retained_as.name}: {error.strerror}",
            "does the file system support hard links? restore under a new name",
        ) from error


def _remove_sidecars(path: Path) -> None:
    for ending in SIDECARS:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _drop_aliases(target: Path) -> None:
    """Remove the second names that killed swaps left, see `was_swapped`."""
    for path in target.parent.glob("*_replaced_*"):
        _drop_alias(target, path)


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Let one swap at a time run in `folder`.

    Between link and rename the old file's second name is all that will be left of it, and must not
    be removed as one that a killed swap left. The lock ends with the process.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.lock(descriptor)
        yield
    finally:
        os.close(descriptor)
