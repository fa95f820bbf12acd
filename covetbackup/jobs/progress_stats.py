"""Values of a job's page that are not in its row: phases, share done, time left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from covetbackup.core.progress import DAMAGED
from covetbackup.jobs.models import Job, JobEvent, JobState

SURE_AFTER = timedelta(seconds=20)
SURE_SHARE = 0.1
"""No time left is told earlier than either: the first seconds' rate says little."""

SUSPECT_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of an attempt; `state` is one of the job's, for the badge."""

    name: str
    duration: timedelta
    state: str


def phases_of(job: Job, events: Iterable[JobEvent], now: datetime) -> list[Phase]:
    """Return the phases of the current attempt, from its events in their order.

    Of work that goes on after it found damage, those phases failed that found some; of other work
    that failed, the last one.
    """
    begun: list[JobEvent] = []
    faulty: set[int] = set()
    for event in events:
        if event.attempt != job.attempt:
            continue
        if event.kind == "phase":
            begun.append(event)
        elif begun and event.kind == "note" and event.text.startswith(DAMAGED):
            faulty.add(len(begun) - 1)
    ends = [event.at for event in begun[1:]] + [job.finished_at or now]
    return [
        Phase(event.text, max(end - event.at, timedelta(0)), _state_of(job, number, begun, faulty))
        for number, (event, end) in enumerate(zip(begun, ends, strict=False))
    ]


def _state_of(job: Job, number: int, begun: list[JobEvent], faulty: set[int]) -> str:
    if number in faulty:
        return JobState.FAILED.value
    if number < len(begun) - 1:
        return JobState.SUCCEEDED.value
    if job.is_active:
        return JobState.RUNNING.value
    is_found_elsewhere = job.state == JobState.FAILED and bool(faulty)
    return JobState.SUCCEEDED.value if is_found_elsewhere else job.state


def share_of(job: Job) -> float | None:
    """Return the done share of the phase, from 0 to 1, None if its size is unknown."""
    if not job.total_bytes:
        return None
    return min(job.done_bytes / job.total_bytes, 1.0)


def time_left(job: Job, now: datetime) -> timedelta | None:
    """Return the time left of the phase at its present rate, None while that would be a guess."""
    share = share_of(job)
    if job.state != JobState.RUNNING or not share or not job.rate or not job.started_at:
        return None
    if share < SURE_SHARE and now - job.started_at < SURE_AFTER:
        return None
    return timedelta(seconds=max((job.total_bytes or 0) - job.done_bytes, 0) / job.rate)


def is_suspect(job: Job, now: datetime) -> bool:
    """Return whether the job's worker has been silent for too long."""
    if job.state != JobState.RUNNING or job.heartbeat_at is None:
        return False
    return now - job.heartbeat_at > SUSPECT_AFTER


def pace_of(job: Job, now: datetime) -> str:
    """Return how often a page should poll, "" if there will be no news."""
    if not job.is_active:
        return ""
    if job.state == JobState.QUEUED:
        # A user who has just requested it watches it start; a long queue changes slowly.
        return "1s" if now - job.created_at < timedelta(minutes=1) else "10s"
    is_young = job.started_at is None or now - job.started_at < timedelta(minutes=10)
    return "1s" if is_young else "3s"
