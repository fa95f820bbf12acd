"""The next jobs of a queue, and notifications of its workers.

A q2 task is a notification: "check this queue". Notifications are all alike, may be lost, late or
many; a worker that receives one claims any job that may start. So it is enough that a queue has as
many as it has jobs that may start, and that `tick` notifies again of those that no worker took.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django_q.brokers import get_broker
from django_q.tasks import async_task

from covetbackup.jobs import gate
from covetbackup.jobs.concurrency import Decision, SlotUse, admit
from covetbackup.jobs.models import Job, JobState, Node

log = logging.getLogger(__name__)

MOST_WAITING = 1000
"""Waiting jobs considered at once; the rest are so far back that their turn is not near."""

NODE_IS_FRESH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """The position of a job in its queue, and what it waits for.

    The next one is 1; None is too far behind. `is_retry`: until its next attempt is due.
    """

    position: int | None
    blocked_by: str
    is_retry: bool = False


def runnable(queue: str) -> list[int]:
    """Return the jobs of the queue that may start now, in their order."""
    return [decision.job_id for decision in _decisions(queue) if not decision.blocked_by]


def may_start(job_id: int) -> bool:
    """Return whether the job's slots are free, however many wait before it."""
    waiting = _slots_of(Job.objects.filter(pk=job_id, state=JobState.QUEUED))
    return any(not decision.blocked_by for decision in _admit(waiting))


def queue_position(job: Job) -> QueuePosition | None:
    """Return the position of a waiting job, None for any other."""
    return queue_positions([job]).get(job.pk)


def queue_positions(jobs: Iterable[Job]) -> dict[int, QueuePosition]:
    """Return the positions of those jobs that wait, with one query for each queue."""
    waiting = [job for job in jobs if job.state == JobState.QUEUED]
    found = {}
    for queue in {job.queue for job in waiting}:
        worker = _a_worker(queue)
        for position, decision in enumerate(_decisions(queue), start=1):
            found[decision.job_id] = QueuePosition(position, decision.blocked_by or worker)
    positions = {job.pk: found.get(job.pk) or _position_elsewhere(job) for job in waiting}
    return {pk: position for pk, position in positions.items() if position is not None}


def live_nodes() -> Any:
    """Return the workers with a heartbeat in the last half minute that take jobs."""
    return Node.objects.filter(heartbeat_at__gt=Now() - NODE_IS_FRESH, is_draining=False)


def notify() -> None:
    """Notify workers once of each job that may start and has no notification on its way."""
    queues = Job.objects.filter(state=JobState.QUEUED, run_after__lte=Now())
    for queue in queues.order_by().values_list("queue", flat=True).distinct():
        try:
            _notify_queue(queue)
        except Exception as error:  # whatever the broker raises: `tick` tries again
            log.warning("cannot notify workers of the queue %s: %r", queue, error)


def notify_for(job_id: int, queue: str) -> None:
    """Notify workers of a new job; the one that takes the notification decides what may start."""
    try:
        _dispatch(job_id, queue)
    except Exception as error:  # the job is in the catalog already: `tick` notifies again
        log.warning("cannot notify workers of job %s: %r", job_id, error)


def reset_notification(job_id: int) -> None:
    """Allow another notification of the job at once: the last one did not start it."""
    Job.objects.filter(pk=job_id, state=JobState.QUEUED).update(dispatched_at=None)


def _notify_queue(queue: str) -> None:
    may_start = runnable(queue)
    if not may_start:
        return
    # Notifications that no worker took are still there: more of them would only pile up.
    missing = len(may_start) - get_broker(queue).queue_size()
    for job_id in may_start:
        if missing > 0 and _dispatch(job_id, queue):
            missing -= 1


def _dispatch(job_id: int, queue: str) -> bool:
    again = timedelta(seconds=settings.JOB_SECONDS["notify_again"])
    unnotified = Q(dispatched_at=None) | Q(dispatched_at__lt=Now() - again)
    if not Job.objects.filter(unnotified, pk=job_id, state=JobState.QUEUED).update(
        dispatched_at=Now()
    ):
        return False
    try:
        # timeout -1 is q2's "none"; None would kill the worker that takes the task, for ever.
        async_task(
            "covetbackup.jobs.supervisor.run",
            job_id,
            cluster=queue,
            task_name=f"job-{job_id}",
            timeout=-1,
            save=False,
        )
    except Exception:
        reset_notification(job_id)  # none was sent, so the next try need not wait
        raise
    return True


def _decisions(queue: str) -> list[Decision]:
    waiting = Job.objects.filter(
        state=JobState.QUEUED, queue=queue, run_after__lte=Now(), cancel_requested_at=None
    )
    return _admit(_slots_of(waiting.order_by("run_after", "id")[:MOST_WAITING]))


def _admit(waiting: list[SlotUse]) -> list[Decision]:
    if not waiting:
        return []
    running = _slots_of(Job.objects.filter(state=JobState.RUNNING))
    return admit(waiting, running, settings.JOB_LIMITS)


def _slots_of(jobs: Any) -> list[SlotUse]:
    rows = jobs.values_list("pk", "server_slot", "repository_slot", "lock_key")
    return [SlotUse(*row) for row in rows]


def _position_elsewhere(job: Job) -> QueuePosition | None:
    """Return the position of a job outside of its queue's next ones; None if it is not waiting."""
    waiting = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
    if not waiting.exists():
        return None
    if waiting.filter(run_after__gt=Now()).exists():
        # One that an outage of the catalog put back has its attempt given back as well.
        is_retry = job.attempt > 0 or job.attempts.exists()
        return QueuePosition(
            None,
            "its next attempt" if is_retry else "another job to finish first",
            is_retry=is_retry,
        )
    return QueuePosition(None, f"the {MOST_WAITING} jobs before it")


def _a_worker(queue: str) -> str:
    if closed := gate.refusal():
        return f"an owner: {closed}"
    if live_nodes().filter(queue=queue).exists():
        return "a free worker"
    return f"a worker for the queue {queue}: none is running"
