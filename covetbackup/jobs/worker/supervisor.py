"""The task of a q2 worker that is notified: claim a job, start its runner and supervise it.

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

LOOK_SECONDS = 1.0
HEAR_SECONDS = 0.2
CANCEL_SECONDS = 8.0
DRAIN_SECONDS = 4.5
EXIT_SECONDS = 2.0
OUTAGE_SECONDS = 600.0
"""How long the end of a job is kept while the catalog is away: nobody can reap it then."""


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
        log.warning("the hook of job %s has to wait: %s", claim.job_id, described(error))


def _claim_next(here: WorkerContext) -> Claim | None:
    if here.is_draining or gate.refusal():
        return None
    for job_id in dispatch.runnable(here.queue):
        claim = queue.claim(job_id, here.instance, os.getpid())
        if claim is not None:
            return claim
    return None


class Supervision:
    """One attempt at one job."""

    def __init__(self, claim: Claim, here: WorkerContext) -> None:
        self._claim = claim
        self._here = here
        self._buffer = ProgressBuffer()
        self._end: dict[str, Any] | None = None
        self.stop_reason: Stop | None = None
        self._kill_at = float("inf")
        self._look_at = 0.0
        self._beat_at = time.monotonic()
        self._lease = settings.JOB_SECONDS["lease"]
        self._heartbeat = settings.JOB_SECONDS["heartbeat"]

    def run(self) -> None:
        """Supervise the attempt until none of its processes is left and its end is written."""
        try:
            self._runner, self._channel = runner.start(self._claim.job_id, self._claim.token)
        except OSError as error:
            reason = f"cannot start a runner: {error}"
            _persistently(lambda: queue.interrupt(self._claim, reason))
            return
        try:
            while self._goes_on():
                self._hear(HEAR_SECONDS)
                self._look()
        except Exception:  # the runner must not outlive its supervision, whatever broke it
            log.exception("the supervision of job %s failed", self._claim.job_id)
        finally:
            status = self._reap()
        self.finalize(status)

    def _goes_on(self) -> bool:
        return self._channel.is_open and self._end is None and time.monotonic() < self._kill_at

    def _hear(self, seconds: float) -> None:
        for message in self._channel.receive(seconds):
            self._buffer.take(message)
            if "end" in message:
                self._end = message

    def _look(self) -> None:
        """Check once a second whether the job is still ours or cancelled, and report progress."""
        now = time.monotonic()
        if self._here.is_draining:
            self._ask_to_stop(Stop.DRAIN, DRAIN_SECONDS)
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        try:
            self._attend(now)
        except AWAY as error:
            log.warning("job %s: %s", self._claim.job_id, described(error))
            connection.close()
            if now - self._beat_at > self._lease * 2 / 3:
                self._ask_to_stop(Stop.LOST, 0)

    def _attend(self, now: float) -> None:
        mine = Job.objects.filter(
            pk=self._claim.job_id, token=self._claim.token, state=JobState.RUNNING
        )
        asked = list(mine.values_list("cancel_requested_at", flat=True))
        if asked and asked[0] is not None:
            self._ask_to_stop(Stop.CANCEL, CANCEL_SECONDS)
        if asked and not self._buffer.has_news and now - self._beat_at < self._heartbeat:
            return
        if not asked or not queue.beat(self._claim, self._buffer.report()):
            self._ask_to_stop(Stop.LOST, 0)
            return
        self._buffer.written()
        self._beat_at = now
        self._channel.send(ping=True)

    def _ask_to_stop(self, why: Stop, seconds: float) -> None:
        if self.stop_reason is None:
            self.stop_reason = why
            self._channel.send(cancel=True)
        self._kill_at = min(self._kill_at, time.monotonic() + seconds)

    def _reap(self) -> int:
        """The runner's exit status, once its whole group is gone."""
        deadline = time.monotonic() + (EXIT_SECONDS if time.monotonic() < self._kill_at else 0)
        while time.monotonic() < deadline and not _has_ended(self._runner):
            time.sleep(0.01)
        try:
            # Before `wait`: until then the id cannot belong to another group.
            os.killpg(self._runner, signal.SIGKILL)
        except OSError:
            pass
        last_words = time.monotonic() + EXIT_SECONDS
        while self._channel.is_open and time.monotonic() < last_words:
            self._hear(HEAR_SECONDS)
        self._channel.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._runner, 0)[1])

    def finalize(self, status: int) -> None:
        """Write how the attempt ended, given the exit status of its runner."""
        claim, end, stop = self._claim, self._end or {}, self.stop_reason
        log.info("job ended job=%s end=%s stop=%s", claim.job_id, end.get("end"), stop)
        if stop == Stop.LOST:
            # No effect if another has the job; after an outage it saves waiting for the lease.
            _persistently(lambda: _give_back(claim))
            return
        if self._buffer.has_news:
            _persistently(lambda: queue.beat(claim, self._buffer.report()))
        if end.get("end") == "succeeded":
            _persistently(lambda: queue.finish(claim, End(JobState.SUCCEEDED)))
        elif stop == Stop.CANCEL:
            _persistently(lambda: queue.finish(claim, _CANCELLED))
        elif stop == Stop.DRAIN:
            _persistently(lambda: queue.requeue(claim) or queue.finish(claim, _CANCELLED))
        elif end.get("end") == "failed":
            _persistently(lambda: _fail(claim, _failure(end)))
        else:
            _persistently(lambda: queue.interrupt(claim, _reason(status)))


_CANCELLED = End(JobState.CANCELLED)


def _fail(claim: Claim, end: End) -> bool:
    if end.is_outage and queue.requeue_after_outage(claim, end):
        return True
    return (end.is_transient and queue.retry(claim, end)) or queue.finish(claim, end)


def _give_back(claim: Claim) -> bool:
    reason = "its worker lost touch with the catalog"
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
        return f"the runner was ended by signal {-status} ({signal.strsignal(-status)})"
    return f"the runner ended with status {status} and said nothing"


def _has_ended(process: int) -> bool:
    """Whether it is a zombie; it stays one, so that its id is not given to another."""
    found = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None


def _persistently(write: Callable[[], _T]) -> _T:
    """Try until the catalog takes it: a finished job must not be done again for an outage."""
    return with_patience(write, seconds=OUTAGE_SECONDS)
