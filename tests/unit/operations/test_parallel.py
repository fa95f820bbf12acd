"""Several streams at once: all end, the first error decides, a cancel reaches every thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from covetbackup.core.errors import Cancelled, SourceFailed
from covetbackup.core.operations.parallel import run_parallel
from covetbackup.core.progress import Progress, Silent


@dataclass
class Watcher:
    """Cancels when told so many bytes; keeps the thread that each call came from."""

    limit: int = 1 << 60
    count: int = 0
    notes: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def phase(self, name: str, total: int | None = None) -> None:
        self.threads.add(threading.get_ident())

    def advance(self, count: int) -> None:
        self.threads.add(threading.get_ident())
        self.count += count
        if self.count >= self.limit:
            raise Cancelled("enough")

    def note(self, text: str) -> None:
        self.notes.append(text)


def endless(progress: Progress) -> None:
    """Works until somebody stops it."""
    while True:
        progress.advance(1)
        threading.Event().wait(0.01)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(limit: int) -> None:
    tasks = [lambda progress, n=n: n for n in range(5)]
    assert run_parallel(tasks, limit=limit, progress=Silent()) == [0, 1, 2, 3, 4]


def test_as_many_run_at_once_as_the_limit_says() -> None:
    together = threading.Barrier(3, timeout=30)
    run_parallel([lambda progress: together.wait()] * 3, limit=3, progress=Silent())


def test_everything_said_reaches_the_progress_in_the_calling_thread() -> None:
    def work(progress: Progress) -> None:
        progress.note("hello")
        progress.advance(7)

    watcher = Watcher()
    run_parallel([work] * 4, limit=4, progress=watcher)
    assert (watcher.count, watcher.notes) == (28, ["hello"] * 4)
    assert watcher.threads == {threading.get_ident()}


def test_the_first_error_ends_the_others_and_is_raised() -> None:
    def fail(progress: Progress) -> None:
        raise SourceFailed("dump ended with status 1")

    with pytest.raises(SourceFailed, match="status 1"):
        run_parallel([endless, fail, endless], limit=3, progress=Silent())


def test_what_waits_for_its_turn_never_begins_after_an_error() -> None:
    begun: list[int] = []

    def fail(progress: Progress) -> None:
        raise SourceFailed("dump ended with status 1")

    with pytest.raises(SourceFailed):
        run_parallel([fail, endless, lambda _: begun.append(1)], limit=2, progress=Silent())
    assert begun == []


def test_a_cancel_reaches_every_thread() -> None:
    before = set(threading.enumerate())
    with pytest.raises(Cancelled, match="enough"):
        run_parallel([endless, endless], limit=2, progress=Watcher(limit=5))
    assert set(threading.enumerate()) <= before
