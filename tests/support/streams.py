"""Doubles and checks for streams: a sink in memory, sources that die, and what is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class MemorySink:
    """Keeps what it gets; `committed` is None until commit and after abort."""

    def __init__(self, *, fails_after: int | None = None, error: Exception | None = None) -> None:
        self._written = bytearray()
        self._fails_after = fails_after
        self._error = error
        self.committed: bytes | None = None
        self.was_aborted = False

    def write(self, chunk: bytes) -> None:
        self._written += chunk
        if self._fails_after is not None and len(self._written) > self._fails_after:
            assert self._error is not None
            raise self._error

    def commit(self) -> None:
        if self._error is not None and self._fails_after is None:
            raise self._error
        self.committed = bytes(self._written)

    def abort(self) -> None:
        self.was_aborted = True
        self.committed = None


@contextmanager
def source_of(pieces: Iterable[bytes], *, then: BaseException | None = None) -> Iterator:
    """A source of `pieces` that raises `then` instead of ending."""

    def generate() -> Iterator[bytes]:
        yield from pieces
        if then is not None:
            raise then

    yield generate()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fails when the body leaves a thread, an open descriptor or a child process behind."""
    before = _held()
    yield
    # Not "the same": what earlier tests left to the garbage collector may go meanwhile.
    assert eventually(lambda: not _held() - before), f"left behind: {_held() - before}"


def eventually(is_true, *, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_running(process: int) -> bool:
    """Whether a process exists and is not merely an uncollected one."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _held() -> Counter[str]:
    descriptors = (f"descriptor {number}" for number in os.listdir("/proc/self/fd"))
    threads = (f"thread {thread.name}" for thread in threading.enumerate())
    tasks = Path("/proc/self/task").iterdir()
    children = (f"child {child}" for task in tasks for child in _read(task / "children").split())
    return Counter([*descriptors, *threads, *children])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # a thread that has just ended
