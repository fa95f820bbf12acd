"""The task of a notified q2 worker: claim a job, start its runner and supervise it.

It does no work itself: it keeps the lease, passes on progress, asks the runner to stop when the job
is cancelled or the worker drains, kills what does not stop, and writes how it ended. Tasks call
`run` as `covetbackup.jobs.supervisor.run`: they may wait through an upgrade.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection

from covetbackup.jobs import dispatch, gate, hooks, queue
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, described, with_patience
from covetbackup.jobs.queue import Claim, End
from covetbackup.jobs.worker import runner
from covetbackup.jobs.worker.context import CURRENT, WorkerContext
from covetbackup.jobs.worker.progress_buffer import ProgressBuffer

log = logging.getLogger(__name__)

_T = TypeVar("_T")

POLL_SECONDS = 1.0
RECEIVE_SECONDS = 0.2
CANCEL_SECONDS = 8.0
DRAIN_SECONDS = 4.5
EXIT_SECONDS = 2.0
OUTAGE_SECONDS = 600.0
"""How long writing the end of a job is tried while the catalog is away: no job is reaped then."""


class Stop(StrEnum):
    """Why a runner was stopped before its work was done."""

    CANCEL = "cancel"
    DRAIN = "drain"
    LOST = "lost"


def run(job_id: int) -> None:
    """Start what may start in this worker's queue, on a notification of `job_id`."""
    if not CURRENT:
        log.error("job %s: this process was not started by `covetbackup worker`", job_id)
        return
    try:
        claim = _claim_next(CURRENT[0])
        if claim is None or claim.job_id != job_id:
            dispatch.reset_notification(job_id)
    except AWAY as error:
        log.warning("job %s is not started yet: %s", job_id, described(error))
        connection.close()
        return
    if claim is None:
        return
    log.info("job started job=%s attempt=%s", claim.job_id, claim.attempt)
    Supervision(claim, CURRENT[0]).run()
    try:
        hooks.run_completion_hook(claim.job_id)
    except AWAY as error:
        log.warning(
            "the completion hook of job %s is postponed: %s", claim.job_id, described(error)
        )


def _claim_next(context: WorkerContext) -> Claim | None:
    if context.is_draining or gate.refusal():
        return None
    for job_id in dispatch.runnable(context.queue):
        claim = queue.claim(job_id, context.instance, os.getpid())
        if claim is not None:
            return claim
    return None


class Supervision:
    """The supervision of one attempt at one job."""

    def __init__(self, claim: Claim, context: WorkerContext) -> None:
        self._claim = claim
        self._context = context
        self._buffer = ProgressBuffer()
        self._end: dict[str, Any] | None = None
        self.stop_reason: Stop | None = None
        self._kill_at = float("inf")
        self._poll_at = 0.0
        self._renewed_at = time.monotonic()
        self._lease = settings.JOB_SECONDS["lease"]
        self._heartbeat = settings.JOB_SECONDS["heartbeat"]

    def run(self) -> None:
        """Supervise the attempt until none of its processes is left and its end is written."""
        try:
            self._runner, self._channel = runner.start(self._claim.job_id, self._claim.token)
        except OSError as error:
            reason = f"cannot start a runner: {error}"
            _until_stored(lambda: queue.interrupt(self._claim, reason))
            return
        try:
            while self._is_running():
                self._receive(RECEIVE_SECONDS)
                self._poll()
        except Exception:  # the runner must not outlive its supervision, whatever broke it
            log.exception("the supervision of job %s failed", self._claim.job_id)
        finally:
            status = self._reap()
        self.finalize(status)

    def _is_running(self) -> bool:
        return self._channel.is_open and self._end is None and time.monotonic() < self._kill_at

    def _receive(self, seconds: float) -> None:
        for message in self._channel.receive(seconds):
            self._buffer.take(message)
            if "end" in message:
                self._end = message

    def _poll(self) -> None:
        """Once a second: renew the lease, report progress, and see whether the job is cancelled."""
        now = time.monotonic()
        if self._context.is_draining:
            self._ask_to_stop(Stop.DRAIN, DRAIN_SECONDS)
        if now < self._poll_at:
            return
        self._poll_at = now + POLL_SECONDS
        try:
            self._renew_lease(now)
        except AWAY as error:
            log.warning("job %s: %s", self._claim.job_id, described(error))
            connection.close()
            if now - self._renewed_at > self._lease * 2 / 3:
                self._ask_to_stop(Stop.LOST, 0)

    def _renew_lease(self, now: float) -> None:
        mine = Job.objects.filter(
            pk=self._claim.job_id, token=self._claim.token, state=JobState.RUNNING
        )
        asked = list(mine.values_list("cancel_requested_at", flat=True))
        if asked and asked[0] is not None:
            self._ask_to_stop(Stop.CANCEL, CANCEL_SECONDS)
        if asked and not self._buffer.has_news and now - self._renewed_at < self._heartbeat:
            return
        if not asked or not queue.heartbeat(self._claim, self._buffer.report()):
            self._ask_to_stop(Stop.LOST, 0)
            return
        self._buffer.written()
        self._renewed_at = now
        self._channel.send(ping=True)

    def _ask_to_stop(self, why: Stop, seconds: float) -> None:
        if self.stop_reason is None:
            self.stop_reason = why
            self._channel.send(cancel=True)
        self._kill_at = min(self._kill_at, time.monotonic() + seconds)

    def _reap(self) -> int:
        """Kill what is left of the runner's process group and return its exit status."""
        deadline = time.monotonic() + (EXIT_SECONDS if time.monotonic() < self._kill_at else 0)
        while time.monotonic() < deadline and not _has_ended(self._runner):
            time.sleep(0.01)
        try:
            # Before `wait`: until then the id cannot belong to another group.
            os.killpg(self._runner, signal.SIGKILL)
        except OSError:
            pass
        drained_by = time.monotonic() + EXIT_SECONDS
        while self._channel.is_open and time.monotonic() < drained_by:
            self._receive(RECEIVE_SECONDS)
        self._channel.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._runner, 0)[1])

    def finalize(self, status: int) -> None:
        """Record how the attempt ended; `status` is the exit status of its runner."""
        claim, end, stop = self._claim, self._end or {}, self.stop_reason
        log.info("job ended job=%s end=%s stop=%s", claim.job_id, end.get("end"), stop)
        if stop == Stop.LOST:
            # No effect if another has the job; after an outage it saves waiting for the lease.
            _until_stored(lambda: _requeue_lost(claim))
            return
        if self._buffer.has_news:
            _until_stored(lambda: queue.heartbeat(claim, self._buffer.report()))
        if end.get("end") == "succeeded":
            _until_stored(lambda: queue.finish(claim, End(JobState.SUCCEEDED)))
        elif stop == Stop.CANCEL:
            _until_stored(lambda: queue.finish(claim, _CANCELLED))
        elif stop == Stop.DRAIN:
            _until_stored(lambda: queue.requeue(claim) or queue.finish(claim, _CANCELLED))
        elif end.get("end") == "failed":
            _until_stored(lambda: _fail(claim, _failure(end)))
        else:
            _until_stored(lambda: queue.interrupt(claim, _reason(status)))


_CANCELLED = End(JobState.CANCELLED)


def _fail(claim: Claim, end: End) -> bool:
    if end.is_outage and queue.requeue_after_outage(claim, end):
        return True
    return (end.is_transient and queue.retry(claim, end)) or queue.finish(claim, end)


def _requeue_lost(claim: Claim) -> bool:
    reason = "its worker lost the connection to the catalog"
    end = End(JobState.FAILED, code="CatalogUnavailable", message=reason)
    return queue.requeue_after_outage(claim, end) or bool(queue.interrupt(claim, reason))


def _failure(message: dict[str, Any]) -> End:
    return End(
        JobState.FAILED,
        code=str(message.get("code", "")),
        message=str(message.get("message", "")),
        hint=str(message.get("hint", "")),
        details=str(message.get("details", "")),
        is_transient=bool(message.get("is_transient")),
        is_outage=bool(message.get("is_outage")),
    )


def _reason(status: int) -> str:
    if status < 0:
        return f"the runner was killed by signal {-status} ({signal.strsignal(-status)})"
    return f"the runner exited with status {status} without a message"


def _has_ended(process: int) -> bool:
    """Return whether the process is a zombie; it stays one, so that its id is not used again."""
    found = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None


def _until_stored(write: Callable[[], _T]) -> _T:
    """Write, again through an outage: a finished job must not be done again because of one."""
    return with_patience(write, seconds=OUTAGE_SECONDS)
