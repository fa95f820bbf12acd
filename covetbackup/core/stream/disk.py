"""What a file system may refuse though a write succeeded: syncing, locking, modes, hard links.

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
    """Turn an `OSError` about `path`, which is being written, into a `StorageError`; that a name is
    taken, or that there is no such folder, stays as it is."""
    try:
        yield
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise fault_of(error, path) from error


def fault_of(error: OSError, path: Path | None = None) -> StorageError:
    """Return the sentence for what the operating system refused and nothing else says in words."""
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
    """As `sync`, of the names in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sync(descriptor)
    finally:
        os.close(descriptor)


def lock(descriptor: int, operation: int = fcntl.LOCK_EX) -> bool:
    """flock(2). Return False where the file system has no locks; raise `OSError` when it is held
    elsewhere and `operation` does not wait."""
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
    none, it is a look and a rename, which another program can slip in between.
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
    with _Probe(folder) as probe:
        return probe.has_hard_links()


def shortcomings(folder: Path) -> list[str]:
    """Return a sentence for each thing that the file system of `folder` cannot do, for people.

    Makes and removes a file in `folder`; raises `OSError` if it cannot.
    """
    found = []
    with _Probe(folder) as probe:
        if not (sync(probe.descriptor) and sync_folder(folder)):
            found.append(
                "its file system cannot confirm that data is on disk: a power failure may lose "
                "what was written last"
            )
        if not probe.keeps_modes():
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
                "its file system has no locks: files that killed restores leave there are not swept"
            )
    return found


class _Probe:
    """A new empty file in a folder, removed again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{PROBE_PREFIX}{secrets.token_hex(8)}"
        self._second = self._path.with_name(f"{self._path.name}-link")

    def __enter__(self) -> _Probe:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.descriptor = os.open(self._path, flags, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        for path in (self._second, self._path):
            with suppress(FileNotFoundError):
                path.unlink()

    def keeps_modes(self) -> bool:
        with suppress(OSError):
            os.chmod(self._path, 0o640)
            before = os.stat(self._path).st_mode & 0o777
            os.chmod(self._path, 0o600)
            return (before, os.stat(self._path).st_mode & 0o777) == (0o640, 0o600)
        return False

    def has_hard_links(self) -> bool:
        try:
            os.link(self._path, self._second, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            return False
        return True
