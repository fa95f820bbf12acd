"""File system calls that may be refused though a write succeeded: sync, lock, mode, hard link.

CIFS answers EINVAL to fsync of a directory, NFS EBADF to a lock on one; FAT and many FUSE file
systems have no hard links and one mode for all files. None of that damages a file: work goes on as
far as it can, and `shortcomings` says beforehand what is missing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from covetbackup.core.errors import AccessRefused, StorageError, StorageFull

_NO_SYNC = {
    errno.EACCES,
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
}
_NO_LOCK = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
PROBE_PREFIX = ".covet-probe-"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn an `OSError` about `path`, which is being written, into a `StorageError`.

    Passes on that a name is taken, or that there is no such folder.
    """
    try:
        yield
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path | None = None) -> StorageError:
    """Return the `StorageError` for what the operating system refused, about `path` or its file."""
    reason = (error.strerror or str(error)).lower()
    subject = error.filename or path or "a file"
    if error.errno in _FULL:
        return StorageFull(f"no room for {subject}: {reason}", "free some space")
    if error.errno in _REFUSED:
        hint = "may the user that runs this write there, or is it mounted read-only?"
        return AccessRefused(f"{subject} cannot be used: {reason}", hint)
    return StorageError(
        f"{subject} cannot be used: {reason}", "is it there, and is the disk sound?", repr(error)
    )


def sync(descriptor: int) -> bool:
    """Return True when the file or directory is on disk, False where its file system cannot say.

    Raises `OSError` for anything else, such as a full or failing disk.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        return False
    return True


def sync_folder(folder: Path) -> bool:
    """Make the names in `folder` durable, as `sync` does for a descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sync(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, operation: int = fcntl.LOCK_EX) -> bool:
    """Lock the file with flock(2); return False where the file system has no locks.

    Raises `OSError` when it is locked elsewhere and `operation` does not wait.
    """
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NO_LOCK:
            raise
        return False
    return True


def publish(scratch: Path, target: Path) -> None:
    """Give the file `scratch` the name `target`, which must be free, in the same folder.

    Raises `FileExistsError`. A hard link fails atomically when the name is taken; where there are
    none, it is a check and a rename: a program that takes the name in between is overwritten.
    """
    try:
        os.link(scratch, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
    else:
        scratch.unlink()
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(scratch, target)


def has_hard_links(folder: Path) -> bool:
    """Return whether files in `folder` can have two names. Raises `OSError` if none can be made."""
    with _probe(folder) as probe:
        return probe.has_hard_links()


def shortcomings(folder: Path) -> list[str]:
    """Return a sentence for each thing that the file system of `folder` cannot do, for people.

    Makes and removes a file in `folder`; raises `OSError` if it cannot.
    """
    found = []
    with _probe(folder) as probe:
        if not (sync(probe.descriptor) and sync_folder(folder)):
            found.append(
                "its file system cannot confirm that data is on disk: a power failure may lose "
                "what was written last"
            )
        if not probe.stores_modes():
            found.append(
                "its file system keeps no permissions: who may read the files there is decided by "
                "how it is mounted"
            )
        if not probe.has_hard_links():
            found.append(
                "its file system has no hard links: two programs that write the same name at once "
                "are not kept apart, and no database there can be replaced by a restore"
            )
        if not lock(probe.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            found.append(
                "its file system has no locks: files that a killed restore leaves stay there"
            )
    return found


@contextmanager
def _probe(folder: Path) -> Iterator[_Probe]:
    """Make an empty file in `folder`, and remove it in the end."""
    path = folder / f"{PROBE_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    probe = _Probe(path, descriptor)
    try:
        yield probe
    finally:
        os.close(descriptor)
        for made in (probe.link, path):
            with suppress(FileNotFoundError):
                made.unlink()


class _Probe:
    """An empty file on which to try what its file system can do."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self.descriptor = descriptor
        self.link = path.with_name(f"{path.name}-link")

    def stores_modes(self) -> bool:
        with suppress(OSError):
            os.chmod(self._path, 0o640)
            before = os.stat(self._path).st_mode & 0o777
            os.chmod(self._path, 0o600)
            return (before, os.stat(self._path).st_mode & 0o777) == (0o640, 0o600)
        return False

    def has_hard_links(self) -> bool:
        try:
            os.link(self._path, self.link, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            return False
        return True
