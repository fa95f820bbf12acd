"""Several tasks in threads of their own, reported as one piece of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock
from typing import TypeVar

from covetbackup.core.errors import Cancelled
from covetbackup.core.progress import Progress

T = TypeVar("T")
Task = Callable[[Progress], T]
"""A function that calls `advance` of the `Progress` it is given at least once a second."""

_FLUSH_SECONDS = 0.25


def run_parallel(tasks: Sequence[Task[T]], *, limit: int, progress: Progress) -> list[T]:
    """Run `tasks`, at most `limit` at a time; return their results in the order of the tasks.

    Returns or raises only when all have ended. The first error ends the others, as `Cancelled` in
    their next `advance`, and is raised. `progress` is called from this thread alone.
    """
    if limit == 1 or len(tasks) == 1:
        return [task(progress) for task in tasks]
    shared = _SharedProgress()
    with ThreadPoolExecutor(max_workers=limit) as threads:
        running = [threads.submit(shared.run, task) for task in tasks]
        try:
            while _unfinished(running):
                shared.flush(progress)
        finally:
            shared.stop()
    shared.flush(progress)
    return [future.result() for future in running]


def _unfinished(running: Sequence[Future[T]]) -> bool:
    """Return whether some still run a moment later."""
    return bool(wait(running, timeout=_FLUSH_SECONDS).not_done)


class _SharedProgress:
    """The `Progress` of every thread: gathers what they report until `flush` passes it on."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._notes: list[str] = []
        self._is_stopped = False
        self._error: BaseException | None = None

    def run(self, task: Task[T]) -> T:
        """Run `task` in a thread of the pool.

        A free thread takes the next task at once, before the failure of the last one was seen:
        hence the check before it begins.
        """
        self.advance(0)
        try:
            return task(self)
        except BaseException as error:
            self.stop(error)
            raise

    def phase(self, name: str, total: int | None = None) -> None:
        self.note(name)  # the phase is that of all of them

    def advance(self, count: int) -> None:
        with self._lock:
            self._count += count
            if self._is_stopped:
                raise Cancelled("another stream of the same work has ended it")

    def note(self, text: str) -> None:
        with self._lock:
            self._notes.append(text)

    def stop(self, error: BaseException | None = None) -> None:
        """End the other threads, because of `error` or because the work is over."""
        with self._lock:
            if not self._is_stopped:
                self._error = error
            self._is_stopped = True

    def flush(self, progress: Progress) -> None:
        """Pass on what was reported. Raises the first error of any thread."""
        with self._lock:
            count, self._count = self._count, 0
            notes, self._notes = self._notes, []
            error = self._error
        for text in notes:
            progress.note(text)
        if error is not None:
            raise error
        progress.advance(count)
