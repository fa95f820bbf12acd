"""The child process that does the work of one job.

A fork of its supervisor, which has all modules loaded: an interpreter of its own would cost half a
second of processor time before each job, and after an upgrade run other code than its supervisor.
It keeps nothing else of what it was forked from: no connection, no file, no signal handler.

The supervisor holds the other end of its channel. It stops by itself when that end closes or stays
silent for three quarters of the lease, so that it is dead before another worker may take the job.
To stop is: `advance` raises `Cancelled`; two seconds later, if no call of `advance` came, a signal
raises it wherever the main thread is; then its whole group is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import traceback
import uuid
from pathlib import Path
from types import FrameType
from typing import NoReturn

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from covetbackup.core.errors import (
    Cancelled,
    CovetError,
    DatabaseUnavailable,
    LoginRefused,
    NoProgress,
    ServerBusy,
    SourceFailed,
    StorageUnavailable,
)
from covetbackup.core.stream.diagnostics import without_rows
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, described, with_patience
from covetbackup.jobs.work import PermissionLost, Reporter, Work
from covetbackup.jobs.worker.ipc import Channel
from covetbackup.jobs.worker.kernel import get_signal_when_parent_dies, name_process

log = logging.getLogger(__name__)

TRANSIENT = (StorageUnavailable, ServerBusy, DatabaseUnavailable, NoProgress, SourceFailed)
SIGNAL_AFTER_SECONDS = 2.0
KILL_AFTER_SECONDS = 6.0
SILENCE_SHARE = 0.75
"""Share of the lease: the rest is for cleaning up after killed programs and sessions."""


def start(job_id: int, token: uuid.UUID) -> tuple[int, Channel]:
    """Start the process of an attempt; return its id, and the supervisor's end of its channel.

    It leads a session. Raises `OSError`.
    """
    # Other threads here, if any, only wait: q2's for results to send, those of late hooks for a
    # network. So none of them leaves a lock taken in the fork.
    ours, theirs = socket.socketpair()
    connections.close_all()  # or two processes would use them
    process = os.fork()
    if process == 0:
        _become_runner(job_id, token, theirs)
    theirs.close()
    return process, Channel(ours)


def name_of(token: uuid.UUID) -> str:
    """Return the name of an attempt's process; the kernel takes 15 characters."""
    return f"run-{token.hex[:11]}"


def _become_runner(job_id: int, token: uuid.UUID, channel: socket.socket) -> NoReturn:
    try:
        os.setsid()
        name_process(name_of(token))
        _close_inherited_files(channel.fileno())
        for number in (signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.chdir(settings.BASE_DIR)
        _run(job_id, token, Channel(channel))
    finally:
        os._exit(1)  # not reached when all is well; above here is the program that was forked


def _close_inherited_files(kept: int) -> None:
    """Point the inherited descriptors, all but `kept`, at /dev/null.

    If they were closed, their numbers would be used again, and the owner of the old file, were it
    ever collected, would close the new one.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in list(Path("/proc/self/fd").iterdir()):
        number = int(name.name)
        if number not in (1, 2, kept, nowhere):
            try:
                os.fstat(number)
            except OSError:
                continue  # it was the listing itself
            os.dup2(nowhere, number, inheritable=number == 0)


def _run(job_id: int, token: uuid.UUID, channel: Channel) -> None:
    _end_with_supervisor()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, _raise_cancelled)
    try:
        reporter = Reporter(channel, stop)
        watch = threading.Thread(target=_watch, args=(channel, stop, reporter), daemon=True)
        watch.start()
        _perform(job_id, token, reporter)
        channel.send(end="succeeded")
    except Cancelled:
        channel.send(end="cancelled")
    except CovetError as error:
        channel.send(**_failure(error))
    except AWAY as error:
        log.warning("job %s: %s", job_id, described(error))
        channel.send(**_outage(error))
    except BaseException as error:  # nothing may end here without its supervisor knowing why
        log.exception("job %s failed with an unexpected error", job_id)
        channel.send(**_unforeseen(error))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        connections.close_all()
    logging.shutdown()
    _kill_group()  # nothing that the work started, nor a thread that hangs, may outlive it


def _perform(job_id: int, token: uuid.UUID, reporter: Reporter) -> None:
    job = with_patience(lambda: _job(job_id, token))
    permission = settings.JOB_PERMISSIONS.get(job.kind)
    user = job.requested_by
    if permission and user is not None and not user.may(permission, job.team_id):
        raise PermissionLost(
            f"{user} no longer has the permission for this",
            "ask a user who has the permission to start it again",
        )
    import_string(settings.JOB_KINDS[job.kind])(Work(job, token, reporter))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is done stays done


def _job(job_id: int, token: uuid.UUID) -> Job:
    mine = Job.objects.select_related("requested_by")
    return mine.get(pk=job_id, token=token, state=JobState.RUNNING)


def _watch(channel: Channel, stop: threading.Event, reporter: Reporter) -> None:
    """Receive from the supervisor until this process ends: stop or kill the work when asked."""
    silence = settings.JOB_SECONDS["lease"] * SILENCE_SHARE
    received_at = _now()
    while not stop.is_set():
        for message in channel.receive(1.0):
            received_at = _now()
            if "cancel" in message:
                stop.set()
        if not channel.is_open:
            stop.set()
        if _now() - received_at > silence:
            log.error("no message from the supervisor for %.0f s: stopping at once", silence)
            _kill_group()
    time.sleep(SIGNAL_AFTER_SECONDS)
    if not reporter.has_raised:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(KILL_AFTER_SECONDS - SIGNAL_AFTER_SECONDS)
    log.error("the work did not stop when asked: killing it")
    _kill_group()


def _now() -> float:
    # Goes on while the machine sleeps, as the lease does.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _kill_group() -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _raise_cancelled(number: int, frame: FrameType | None) -> None:
    # A second signal must not stop the cleaning up after the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Cancelled(signal.Signals(number).name)


def _failure(error: CovetError) -> dict[str, object]:
    return {
        "end": "failed",
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "details": _details(error),
        "is_transient": isinstance(error, TRANSIENT) and not isinstance(error, LoginRefused),
    }


def _outage(error: BaseException) -> dict[str, object]:
    return {
        "end": "failed",
        "code": "CatalogUnavailable",
        "message": described(error),
        "hint": "is the catalog's database running? what was stored is kept and recorded later",
        "details": "".join(traceback.format_exception(error)),
        "is_transient": True,
        "is_outage": True,
    }


def _unforeseen(error: BaseException) -> dict[str, object]:
    return {
        "end": "failed",
        "code": type(error).__name__,
        "message": f"unexpected error: {without_rows(str(error))}",
        "hint": "this is a bug in CovetBackup: please report it with the details below",
        "details": _details(error),
        "is_transient": False,
    }


def _details(error: BaseException) -> str:
    """Return the traceback, with the drivers' own errors but without row contents."""
    return without_rows("".join(traceback.format_exception(error)))


def _end_with_supervisor() -> None:
    # A supervisor that died before this has closed the channel, which `_watch` sees.
    get_signal_when_parent_dies(signal.SIGTERM)
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")  # out of memory: the work dies, not the worker that must report it
    except OSError:
        pass
