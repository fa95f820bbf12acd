"""A cache of descriptors of live databases' files, which stay open while the process runs.

POSIX record locks belong to the *process*: closing any descriptor of a file drops every lock the
process has on it, also those of other connections and threads (fcntl(2); "How To Corrupt An
SQLite Database File", 2.2). A backup that opened and closed the file itself would so take away
the read mark of another backup, or the write lock of a program that uses this engine as a
library, and two writers would meet. SQLite defers its own closes for this reason, but cannot know
of ours. No moment is provably safe, because another thread may take a lock between the check and
the close. So descriptors are cached: one for each file ever read, closed only when the file has no
name any more and no thread uses it.
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
class _Cached:
    descriptor: int
    users: int = 0


# Module state on purpose: the locks it protects are state of the process, not of an object.
_cache: dict[tuple[int, int], _Cached] = {}
_guard = threading.Lock()


@contextmanager
def shared_descriptor(path: Path) -> Iterator[int]:
    """Provide a read-only descriptor of `path`. Raises `DatabaseUnavailable`.

    Only `pread` and `fstat` may be called on it: other threads may use it at the same time.
    """
    with _guard:
        _close_deleted()
        try:
            cached = _find_or_open(path)
        except OSError as error:
            raise DatabaseUnavailable(f"{path} cannot be opened: {error.strerror}") from error
        cached.users += 1
    try:
        yield cached.descriptor
    finally:
        with _guard:
            cached.users -= 1


def _find_or_open(path: Path) -> _Cached:
    status = os.stat(path)
    known = _cache.get((status.st_dev, status.st_ino))
    if known is not None:
        return known
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    # If the path was replaced just now by a file that is cached already, the old descriptor is
    # forgotten rather than closed: a leak of one, instead of lost locks.
    cached = _Cached(descriptor)
    _cache[(status.st_dev, status.st_ino)] = cached
    return cached


def _close_deleted() -> None:
    # A deleted -shm or database would otherwise keep its disk space.
    for key, cached in list(_cache.items()):
        if cached.users == 0 and os.fstat(cached.descriptor).st_nlink == 0:
            del _cache[key]
            os.close(cached.descriptor)
