"""Kinds of work for tests. Each writes to a log when it starts and ends, so that a test can see
whether two attempts at one job ever overlapped."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError

from backups.tasks import run_backup
from covetbackup.core.errors import LoginRefused, StorageUnavailable
from covetbackup.jobs.models import Job
from covetbackup.jobs.work import Work
from restores.tasks import run_restore


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


def unwelcome(work: Work) -> None:
    """The server has another password now."""
    raise LoginRefused("the server does not take the password", "enter the new one")


def outage(work: Work) -> None:
    """The catalog does not answer the first `times` times."""
    with _logged(work):
        if work.job.attempts.count() <= work.argument["times"]:
            raise OperationalError("server closed the connection unexpectedly\n\tprobably")


def unforeseen(work: Work) -> None:
    """A fault in our own code."""
    raise ZeroDivisionError("nobody thought of this")


def baggage(work: Work) -> None:
    """Tells what it has open besides nothing, its messages and the catalog."""
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            place = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue  # the listing itself
        if place != os.devnull and "catalog.sqlite3" not in place and int(descriptor) > 2:
            work.progress.note(place.split(":")[0])


def hook(job: Job) -> None:
    _write(f"{job.pk} hook {job.state} {job.attempt}")


def backup(work: Work) -> None:
    """A real one, which says so while it lives."""
    with _logged(work), _alive(work):
        run_backup(work)


def restore(work: Work) -> None:
    with _logged(work), _alive(work):
        run_restore(work)


@contextmanager
def _logged(work: Work) -> Iterator[None]:
    _log(work, "start")
    try:
        yield
    finally:
        _log(work, "end")


@contextmanager
def _alive(work: Work) -> Iterator[None]:
    done = threading.Event()

    def tell() -> None:
        while not done.wait(0.05):
            _log(work, "alive")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _log(work: Work, what: str) -> None:
    _write(f"{work.job.pk} {what} {work.token} {os.getpid()}")


def _write(line: str) -> None:
    with open(settings.VAR_DIR / "log", "a") as log:
        log.write(f"{time.time():.3f} {line}\n")
