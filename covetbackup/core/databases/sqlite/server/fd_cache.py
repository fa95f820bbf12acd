"""Descriptors on a live database's files that stay open for the life of the process.

POSIX record locks belong to the *process*: closing any descriptor of a file drops every lock the
process has on it, also those of other connections and threads (fcntl(2); "How To Corrupt An
SQLite Database File", 2.2). A backup that opened and closed the file itself would so take away
the read mark of another backup, or the write lock of a program that uses this engine as a
library, and two writers would meet. SQLite defers its own closes for this reason, but cannot know
of ours. No moment is provably safe, because another thread may take a lock between the look and
the close. So what was opened here is kept and lent again: one descriptor for each file ever read,
closed only once the file has no name any more and nobody borrows it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from covetbackup.core.errors import DatabaseUnavailable


@dataclass(slots=True)
class _Held:
    descriptor: int
    borrowers: int = 0


# Module state on purpose: the locks it protects are state of the process, not of an object.
_held: dict[tuple[int, int], _Held] = {}
_guard = threading.Lock()


@contextmanager
def shared_descriptor(path: Path) -> Iterator[int]:
    """Lend a read-only descriptor of `path`. Raises `DatabaseUnavailable`.

    The borrower must only `pread` and `fstat` it: it may be shared with other threads.
    """
    with _guard:
        _close_deleted()
        try:
            held = _find_or_open(path)
        except OSError as error:
            raise DatabaseUnavailable(f"{path} cannot be opened: {error.strerror}") from error
        held.borrowers += 1
    try:
        yield held.descriptor
    finally:
        with _guard:
            held.borrowers -= 1


def _find_or_open(path: Path) -> _Held:
    status = os.stat(path)
    known = _held.get((status.st_dev, status.st_ino))
    if known is not None:
        return known
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    # If the path was replaced just now by a file that is held already, the old descriptor is
    # forgotten rather than closed: a leak of one, instead of lost locks.
    held = _Held(descriptor)
    _held[(status.st_dev, status.st_ino)] = held
    return held


def _close_deleted() -> None:
    # A deleted -shm or database would otherwise keep its disk space.
    for key, held in list(_held.items()):
        if held.borrowers == 0 and os.fstat(held.descriptor).st_nlink == 0:
            del _held[key]
            os.close(held.descriptor)
