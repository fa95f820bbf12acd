"""The interface of a kind of work: the job, its argument, and a progress that the page shows.

A kind of work is a function `work(work: Work) -> None`, run in a process of its own. It returns
when the work is done, raises `CovetError` when it failed, and lets `Cancelled` pass.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Now

from covetbackup.core.errors import Cancelled, CovetError
from covetbackup.core.progress import Progress
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import with_patience
from covetbackup.jobs.worker.ipc import Channel

REPORT_SECONDS = 0.5
"""The supervisor writes once a second; more reports than two for that would only cost time."""

NOTE_CHARACTERS = 4000


class PermissionLost(CovetError):
    """The user who requested the job has lost the permission for it."""


@dataclass(frozen=True, slots=True)
class Work:
    """An attempt at a job. `attempt` above 1: clean up what the previous attempt left."""

    job: Job
    token: uuid.UUID
    progress: Progress

    @property
    def argument(self) -> dict[str, Any]:
        return self.job.argument

    @property
    def attempt(self) -> int:
        """The number of the attempt."""
        return self.job.attempt

    def confirm(self) -> None:
        """Check the lease, right before a result is published.

        Raises `Cancelled` if the job is not this attempt's any more, for example after this machine
        slept past its lease. Waits for a catalog that restarts.
        """
        mine = Job.objects.filter(
            pk=self.job.pk, token=self.token, state=JobState.RUNNING, lease_until__gt=Now()
        )
        if not with_patience(mine.exists):
            raise Cancelled("the job was given to another worker")


class Reporter:
    """A `Progress` that reports on the channel, and raises `Cancelled` once asked to stop."""

    def __init__(self, channel: Channel, stop: threading.Event) -> None:
        self._channel = channel
        self._stop = stop
        self._done = 0
        self._reported_at = 0.0
        self.has_raised = False

    def phase(self, name: str, total: int | None = None) -> None:
        self._done = 0
        self._channel.send(phase=name[:200], total=total)

    def advance(self, count: int) -> None:
        if self._stop.is_set():
            self.has_raised = True
            raise Cancelled("asked to stop")
        self._done += count
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._channel.send(done=self._done)

    def note(self, text: str) -> None:
        self._channel.send(done=self._done, note=text[:NOTE_CHARACTERS])
