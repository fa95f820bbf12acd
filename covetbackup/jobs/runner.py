"""The child process that does the work of one job: `python -m covetbackup.jobs.runner JOB TOKEN`.

Its supervisor holds the other end of standard input (see `line`). It stops by itself when that
end closes or stays silent for three quarters of the lease, so that it is dead before another
worker may take the job. To stop is: `advance` raises `Cancelled`; two seconds later, if no call
of `advance` came, a signal raises it wherever the main thread is; then its whole group is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from types import FrameType

import django
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from covetbackup.core.errors import (
    Cancelled,
    CovetError,
    DatabaseUnavailable,
    ServerBusy,
    SourceFailed,
    Stalled,
    StorageUnavailable,
)
from covetbackup.jobs.kernel import get_signal_when_parent_dies
from covetbackup.jobs.line import Line
from covetbackup.jobs.work import PermissionLost, Reporter, Work

log = logging.getLogger(__name__)

TRANSIENT = (StorageUnavailable, ServerBusy, DatabaseUnavailable, Stalled, SourceFailed)
SIGNAL_AFTER_SECONDS = 2.0
KILL_AFTER_SECONDS = 6.0
SILENCE = 0.75
"""Of the lease: what is left is for the clean-up of the killed programs and sessions."""


def main(job_id: int, token: uuid.UUID) -> None:
    _end_with_the_supervisor()
    line = Line(_take_line())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, _raise_cancelled)
    try:
        django.setup()
        reporter = Reporter(line, stop)
        watch = threading.Thread(target=_watch, args=(line, stop, reporter), daemon=True)
        watch.start()
        _perform(job_id, token, reporter)
        line.say(end="succeeded")
    except Cancelled:
        line.say(end="cancelled")
    except CovetError as error:
        line.say(**_failure(error))
    except BaseException as error:  # nothing may end here without its supervisor knowing why
        log.exception("job %s failed in a way that nobody foresaw", job_id)
        line.say(**_unforeseen(error))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        connections.close_all()
    logging.shutdown()
    _kill_group()  # nothing that the work started, nor a thread that hangs, may outlive it


def _perform(job_id: int, token: uuid.UUID, reporter: Reporter) -> None:
    job = apps.get_model("jobs", "Job").objects.get(pk=job_id, token=token, state="running")
    permission = settings.JOB_PERMISSIONS.get(job.kind)
    user = job.requested_by
    if permission and user is not None and not user.may(permission, job.team_id):
        raise PermissionLost(
            f"{user} may not do this any more",
            "ask somebody who has the permission to start it again",
        )
    import_string(settings.JOB_KINDS[job.kind])(Work(job, token, reporter))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is done stays done


def _watch(line: Line, stop: threading.Event, reporter: Reporter) -> None:
    """Listen to the supervisor for as long as this process lives."""
    silence = settings.JOB_SECONDS["lease"] * SILENCE
    heard_at = _now()
    while not stop.is_set():
        for message in line.hear(1.0):
            heard_at = _now()
            if "cancel" in message:
                stop.set()
        if not line.is_open:
            stop.set()
        if _now() - heard_at > silence:
            log.error("nothing heard from the supervisor for %.0f s: stopping at once", silence)
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
        "details": "".join(traceback.format_exception(error)),
        "is_transient": isinstance(error, TRANSIENT),
    }


def _unforeseen(error: BaseException) -> dict[str, object]:
    return {
        "end": "failed",
        "code": type(error).__name__,
        "message": f"an unforeseen error: {error}",
        "hint": "this is a fault of CovetBackup: please report it with the details below",
        "details": "".join(traceback.format_exception(error)),
        "is_transient": False,
    }


def _take_line() -> socket.socket:
    """The socket that is standard input, moved away so that the work cannot read from it."""
    line = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return line


def _end_with_the_supervisor() -> None:
    # Whoever died before this line took effect has closed the line, which `_watch` sees.
    get_signal_when_parent_dies(signal.SIGTERM)
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")  # out of memory: the work dies, not the worker that must report it
    except OSError:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), uuid.UUID(sys.argv[2]))
