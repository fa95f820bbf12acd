"""Kinds of work for tests. Each writes to the file `argument["log"]` when it starts and ends, so
that a test can see whether two attempts at one job ever overlapped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from covetbackup.core.errors import StorageUnavailable
from covetbackup.jobs.models import Job
from covetbackup.jobs.work import Work


def steps(work: Work) -> None:
    """Moves a little every 50 ms for `seconds`."""
    with _logged(work):
        seconds = work.argument["seconds"]
        work.progress.phase("stepping", int(seconds * 1000))
        work.progress.note("one step after the other")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            _log(work, "alive")
            time.sleep(0.05)
            work.progress.advance(50)


def blocked(work: Work) -> None:
    """Waits in one long call and never looks whether it was asked to stop."""
    with _logged(work):
        work.progress.phase("blocked")
        time.sleep(work.argument.get("seconds", 600))


def deaf(work: Work) -> None:
    """Does not stop, whatever it is asked."""
    with _logged(work):
        while True:
            try:
                time.sleep(600)
            except BaseException:  # noqa: S110
                pass


def family(work: Work) -> None:
    """Starts a program, which starts another, and waits for them."""
    with _logged(work):
        work.progress.phase("family")
        subprocess.run(["sh", "-c", "sleep 601 & wait"])


def killed(work: Work) -> None:
    """Dies without a word, but not at attempt `survives`."""
    with _logged(work):
        if work.attempt != work.argument.get("survives"):
            os.kill(os.getpid(), signal.SIGKILL)


def failing(work: Work) -> None:
    """The storage is away until attempt `succeeds`."""
    with _logged(work):
        if work.attempt != work.argument.get("succeeds"):
            raise StorageUnavailable("the storage is away", "wait until it is back")


def unforeseen(work: Work) -> None:
    """A fault in our own code."""
    raise ZeroDivisionError("nobody thought of this")


def hook(job: Job) -> None:
    with open(job.argument["log"], "a") as log:
        log.write(f"{time.time():.3f} {job.pk} hook {job.state} {job.attempt}\n")


@contextmanager
def _logged(work: Work) -> Iterator[None]:
    _log(work, "start")
    try:
        yield
    finally:
        _log(work, "end")


def _log(work: Work, what: str) -> None:
    line = f"{time.time():.3f} {work.job.pk} {what} {work.token} {os.getpid()}\n"
    with open(work.argument["log"], "a") as log:
        log.write(line)
