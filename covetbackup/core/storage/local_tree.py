"""Directories of a local storage, walked one component at a time and never through a link.

A symbolic link planted inside the root must not lead a reader or writer out of it, so each
step opens one component relative to the directory before it with O_NOFOLLOW.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    DeleteRefused,
    ObjectNotFound,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from covetbackup.core.storage.base import check_name
from covetbackup.core.stream import disk

TEMP_PREFIX = ".tmp-"
"""The beginning of the names of unfinished files; no object name may begin with a dot."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_PASSING = {errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EAGAIN}


@contextmanager
def translate_errors(root: Path, name: str = "") -> Iterator[None]:
    """Turn an `OSError` about the object `name`, or about `root`, into the storage's own."""
    try:
        yield
    except FileNotFoundError as error:
        hint = "" if root.is_dir() else "is the disk mounted?"
        raise ObjectNotFound(f"{root / name} does not exist", hint) from error
    except OSError as error:
        raise _translation(error, root, root / name) from error


@contextmanager
def translate_delete_errors(root: Path, name: str = "") -> Iterator[None]:
    """Turn an `OSError` into the storage's own; what may not be done is a `DeleteRefused`."""
    try:
        with translate_errors(root, name):
            yield
    except AccessRefused as error:
        raise DeleteRefused(
            f"{root / name} cannot be deleted: {error.message.rpartition(': ')[2]}",
            "deleting needs write permission for the folder the file is in; is it another user's, "
            "or mounted read-only?",
            error.details,
        ) from error


def _translation(error: OSError, root: Path, subject: Path) -> StorageError:
    reason = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return StorageFull(
            f"no room for {subject}: {reason}, {_free_bytes(root)} bytes free",
            hint="free space, raise the quota or retain fewer backups",
            details=str(error),
        )
    if error.errno in _REFUSED:
        return AccessRefused(
            f"{subject}: {reason}",
            hint="does the directory belong to the user that runs this, and is it writable?",
            details=str(error),
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return AccessRefused(
            f"{subject} leads through a symbolic link or a file",
            hint="links inside a repository are not followed",
        )
    if error.errno in _PASSING:
        return StorageUnavailable(f"{subject}: {reason}", hint="is the disk mounted?")
    return StorageError(f"{subject}: {reason}", hint="check the disk")


def _free_bytes(root: Path) -> int | str:
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return "unknown"


@contextmanager
def open_directory(root: Path, parts: list[str]) -> Iterator[int]:
    """Open the directory `parts` below `root` and give its descriptor.

    Raises `OSError` if it is not there.
    """
    descriptor = _descend(root, parts, making=False)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_directory(root: Path, parts: list[str]) -> int:
    """Return a descriptor of the directory `parts` below `root`, made if missing (mode 0700).

    The caller closes it.
    """
    return _descend(root, parts, making=True)


def _descend(root: Path, parts: list[str], *, making: bool) -> int:
    current = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            if making:
                _make(part, current)
            following = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def _make(part: str, parent: int) -> None:
    try:
        os.mkdir(part, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    disk.sync(parent)


def prune(root: Path, parts: list[str]) -> None:
    """Remove the directory `parts` and its parents as long as they are empty."""
    for depth in range(len(parts), 0, -1):
        try:
            with open_directory(root, parts[: depth - 1]) as parent:
                os.rmdir(parts[depth - 1], dir_fd=parent)
        except OSError:  # not empty, gone already, or a writer was faster
            return


def walk(root: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield names and states of the objects that start with `prefix`, sorted by whole name."""
    with open_directory(root, []) as top:
        yield from _walk(top, "", prefix)


def _walk(descriptor: int, above: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    # A directory sorts as "name/": "a-b/x" comes before "a/x", as in any other storage.
    for name, state in sorted(_entries(descriptor, above)):
        if not name.endswith("/"):
            if name.startswith(prefix):
                yield name, state
        elif name.startswith(prefix) or prefix.startswith(name):
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield from _walk_below(descriptor, name, prefix)


def _walk_below(parent: int, name: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    part = name.rstrip("/").rpartition("/")[2]
    below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield from _walk(below, name, prefix)
    finally:
        os.close(below)


def _entries(descriptor: int, above: str) -> list[tuple[str, os.stat_result]]:
    found = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            with suppress(FileNotFoundError, BadSetting):  # deleted meanwhile, or not ours
                name = check_name(above + entry.name)
                state = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(state.st_mode):
                    found.append((name + "/", state))
                elif stat.S_ISREG(state.st_mode):
                    found.append((name, state))
    return found


def walk_temporary(root: Path) -> Iterator[tuple[list[str], str, os.stat_result]]:
    """Yield directory, name and state of each unfinished file."""
    top = root.resolve()  # fwalk does not enter a root that is a link
    for path, _, names, descriptor in os.fwalk(top):
        parts = list(Path(path).relative_to(top).parts)
        for name in names:
            if name.startswith(TEMP_PREFIX):
                with suppress(FileNotFoundError):  # committed or aborted meanwhile
                    yield parts, name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)
