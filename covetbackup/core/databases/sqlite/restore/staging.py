"""Scratch directories and files, and the cleanup of those that killed processes left.

Each is locked with flock(2) while it is in use, so that a cleanup can tell which are abandoned;
unlike POSIX locks these belong to the descriptor, and end with the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from covetbackup.core.errors import AccessRefused, BadSetting, StorageFull
from covetbackup.core.stream import disk

STAGING_PREFIX = "covet-sqlite-"
RESTORE_PREFIX = ".covet-restore-"
# Headroom for file system metadata beside the bytes asked for.
_RESERVE_BYTES = 16 << 20
_SETTLING = timedelta(seconds=1)


@contextmanager
def staging_directory(parent: Path | None, needed_bytes: int) -> Iterator[Path]:
    """Provide an empty directory (0700) under `parent`, or the system's temporary one.

    It is removed afterwards. Raises `StorageFull` if fewer than `needed_bytes` are free,
    `AccessRefused` if none can be created.
    """
    base = Path(tempfile.gettempdir()) if parent is None else parent
    try:
        require_room(base, needed_bytes)
        path = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=base))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AccessRefused(
            f"no staging directory can be made in {base}: {reason}",
            "set TMPDIR to a folder that the user that runs this may write to",
        ) from error
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.lock(lock)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def require_room(directory: Path, needed_bytes: int) -> None:
    """Raise `StorageFull` if `directory` has no space for `needed_bytes`. Raises `OSError`."""
    free = shutil.disk_usage(directory).free
    if free < needed_bytes + _RESERVE_BYTES:
        raise StorageFull(
            f"{directory} has {free} bytes free, {needed_bytes + _RESERVE_BYTES} are needed",
            "free space, or set TMPDIR to a folder with more room",
        )


def cleanup_scratch(directory: Path, before: datetime) -> list[Path]:
    """Remove what killed backups, checks and restores left in `directory`, and return the paths.

    These are entries with our prefixes that were last changed before `before` and are not locked;
    one that is created now is locked a moment later. Never raises for an entry that disappears
    meanwhile.
    """
    removed: list[Path] = []
    for path in sorted(directory.iterdir()):
        ours = path.name.startswith((STAGING_PREFIX, RESTORE_PREFIX, disk.PROBE_PREFIX))
        if ours and _is_abandoned(path, before):
            _remove(path)
            removed.append(path)
    return removed


def cleanup_folder(path: Path, before: datetime) -> list[str]:
    """Remove what killed restores left in a folder, and return the paths.

    The folder is `path`, or that of the file `path`; see `cleanup_scratch`. Raises `BadSetting`
    if there is no such folder, `AccessRefused` if it cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    # A restore that begins now locks its file a moment after making it.
    settled = min(before, datetime.now(UTC) - _SETTLING)
    try:
        return [str(removed) for removed in cleanup_scratch(folder, settled)]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadSetting(f"{folder} is no folder", "name the folder restores went to") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AccessRefused(
            f"{folder} cannot be cleaned up: {reason}", "run the cleanup as the user that restored"
        ) from error


def _is_abandoned(path: Path, before: datetime) -> bool:
    try:
        status = path.lstat()
        if status.st_mtime >= before.timestamp():
            return False
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            # Killed between publishing and removing the scratch name: opening and closing it
            # would drop this process's locks on the restored database, see `fd_cache`.
            return True
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Where there are no locks, abandoned entries cannot be told: nothing is removed.
        return disk.lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(FileNotFoundError):
        path.unlink()
