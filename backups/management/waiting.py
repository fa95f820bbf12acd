"""Waiting for a job at a terminal: the same bar as the engine's own command line."""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import timedelta

from django.db.models.functions import Now

from covetbackup.command_line import command
from covetbackup.core.cli.terminal import terminal_progress
from covetbackup.core.progress import Progress, Silent
from covetbackup.jobs.models import Job, JobState, Node

_POLL_SECONDS = 0.5
_WORKER_SECONDS = 10
_ALIVE = timedelta(seconds=120)


def wait_for(job: Job, *, quiet: bool) -> Job:
    """Return the job once it has ended and its end is recorded, its progress shown meanwhile.

    Interrupting the wait does not stop the job.
    """
    with nullcontext(Silent()) if quiet else terminal_progress() as progress:
        return _followed(job, _Watch(progress))


def _followed(job: Job, watch: _Watch) -> Job:
    started = time.monotonic()
    while True:
        job.refresh_from_db()
        watch.see(job)
        if not job.is_active and job.hook_due_at is None:
            return job
        if time.monotonic() - started > _WORKER_SECONDS:
            watch.see_waiting(job)
        time.sleep(_POLL_SECONDS)


class _Watch:
    """Turns what the row says into calls of a `Progress`."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._phase = ""
        self._done = 0
        self._event = 0
        self._warned = False

    def see(self, job: Job) -> None:
        if job.phase and job.phase != self._phase:
            self._phase, self._done = job.phase, 0
            self._bar.phase(job.phase, job.total_bytes)
        self._bar.advance(max(0, job.done_bytes - self._done))
        self._done = max(self._done, job.done_bytes)
        for event in job.events.filter(pk__gt=self._event).order_by("pk"):
            self._event = event.pk
            if event.kind != "phase":
                self._bar.note(event.text)

    def see_waiting(self, job: Job) -> None:
        if job.state != JobState.QUEUED or self._warned:
            return
        self._warned = True
        alive = Node.objects.filter(queue=job.queue, heartbeat_at__gt=Now() - _ALIVE)
        if not alive.exists():
            self._bar.note(
                f"no worker serves the queue {job.queue!r}: is {command('worker')} running?"
            )
