"""The queue: every transition of a job, each one conditional update whose row count decides.

    (none) → queued                         enqueue
    queued → running                        claim: a fresh token, one attempt more, a lease
    queued → queued                         release: a held job may start
    queued → cancelled                      request_cancel
    queued → failed                         give_up: what a held job waited for will not come
    running → running                       heartbeat: only the owner of the token
    running → succeeded | failed | cancelled  finish
    running → queued                        retry (costs an attempt), requeue (drained: does not),
                                            requeue_after_outage (does not, a few times)
    running → queued | interrupted          interrupt: the runner or its worker is gone

All times are the database's clock. No compare-and-set on times: SQLite keeps milliseconds of
`Now()` but compares six digits. Choosing the next job and notifying workers is `dispatch`'s.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import repeat
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, Q
from django.db.models.functions import Now

from covetbackup.access.models import Team, User
from covetbackup.jobs import dispatch, gate
from covetbackup.jobs.backoff import back_off
from covetbackup.jobs.models import Job, JobAttempt, JobEvent, JobState, Node
from covetbackup.jobs.outage import AWAY, with_patience

CLAIM_LOCK = 0x636F766A
"""PostgreSQL advisory lock: two claims at once could both see the last free slot."""

ALWAYS = Q()

MOST_OUTAGES = 5
"""A catalog that fails more often in one job, for example with a full disk, is no restart."""

_OUTAGE = "catalog away, requeued"

HELD = timedelta(days=3650)
"""A held job is due so late that it must have been released before."""

_CHANCE = random.Random()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job: lost as soon as `token` is not the row's any more."""

    job_id: int
    token: uuid.UUID
    attempt: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class End:
    """The end of an attempt; `is_outage` if the catalog did not answer: the work may be right."""

    state: JobState
    code: str = ""
    message: str = ""
    hint: str = ""
    details: str = ""
    is_transient: bool = False
    is_outage: bool = False


@dataclass(slots=True)
class JobReport:
    """Columns and log lines of a heartbeat; `ages` are seconds since each line, 0 if missing."""

    columns: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)


def enqueue(
    kind: str,
    *,
    team: Team,
    title: str,
    argument: Mapping[str, Any],
    queue: str = "jobs",
    requested_by: User | None = None,
    lock_key: str = "",
    server_slot: str = "",
    repository_slot: str = "",
    max_attempts: int = 1,
    is_held: bool = False,
) -> Job:
    """Add a job inside the caller's transaction; workers are notified when that commits.

    A held one waits for `release`, or for `give_up`, outside of the slots it would use.
    `argument` is plain JSON with ids only, never secrets. Of the jobs with the same `lock_key`
    at most one runs at a time. Raises `ValueError` for a kind that `JOB_KINDS` does not name,
    `Conflict` while no job may start.
    """
    if kind not in settings.JOB_KINDS:
        raise ValueError(f"no such kind of job: {kind}")
    gate.refuse()
    job = Job.objects.create(
        team=team,
        kind=kind,
        title=title[:300],
        argument=dict(argument),
        queue=queue,
        requested_by=requested_by,
        lock_key=lock_key,
        server_slot=server_slot,
        repository_slot=repository_slot,
        max_attempts=max_attempts,
        run_after=Now() + HELD if is_held else Now(),
    )
    job.refresh_from_db(fields=["run_after"])
    if not is_held:
        transaction.on_commit(partial(dispatch.notify_for, job.pk, queue))
    return job


def release(job: Job) -> bool:
    """Let a held job start when its turn comes. False if it does not wait any more."""
    changed = _held(job).update(run_after=Now(), version=F("version") + 1)
    if changed:
        transaction.on_commit(partial(dispatch.notify_for, job.pk, job.queue))
    return bool(changed)


def give_up(job: Job, end: End) -> bool:
    """End a held job that never ran as failed. False if it does not wait any more."""
    ended = {"state": JobState.FAILED, "finished_at": Now(), "hook_due_at": Now()}
    changes = {**ended, **_error_columns(end), "version": F("version") + 1}
    return bool(_held(job).update(**changes))


def _held(job: Job) -> Any:
    # One that waits for its next attempt is not held: what it waits for is time.
    return Job.objects.filter(pk=job.pk, state=JobState.QUEUED, attempt=0, run_after__gt=Now())


def request_cancel(job: Job, user: User | None) -> bool:
    """Cancel a queued job at once; ask the owner of a running one. False if it has ended."""
    asked = {"cancel_requested_at": Now(), "cancel_requested_by": user, "version": F("version") + 1}
    this = Job.objects.filter(pk=job.pk)
    ended = {"state": JobState.CANCELLED, "finished_at": Now(), "hook_due_at": Now()}
    if this.filter(state=JobState.QUEUED).update(**asked, **ended):
        return True
    running = this.filter(state=JobState.RUNNING, cancel_requested_at=None)
    return bool(running.update(**asked)) or this.filter(state=JobState.RUNNING).exists()


def claim(job_id: int, node: uuid.UUID, pid: int) -> Claim | None:
    """Claim a job that waits, is due and may start; None otherwise."""
    if gate.refusal():
        return None
    token = uuid.uuid4()
    try:
        return _claimed(job_id, token, node, pid)
    except AWAY:
        # The claim may be in the catalog although its answer was lost: then it is this one's.
        return with_patience(lambda: _claim_of(job_id, token))


def _claimed(job_id: int, token: uuid.UUID, node: uuid.UUID, pid: int) -> Claim | None:
    try:
        with transaction.atomic():
            _one_claim_at_a_time()
            if not dispatch.may_start(job_id) or not _take(job_id, token, node, pid):
                return None
            job = Job.objects.get(pk=job_id)
            JobAttempt.objects.create(
                job=job,
                number=job.attempt,
                token=token,
                node=str(job.owner),
                pid=pid,
                started_at=Now(),
            )
    except IntegrityError:
        return None  # another job with this lock_key runs: the constraint has the last word
    return Claim(job_id, token, job.attempt, job.max_attempts)


def _claim_of(job_id: int, token: uuid.UUID) -> Claim | None:
    rows = Job.objects.filter(pk=job_id, token=token, state=JobState.RUNNING)
    found = rows.values_list("pk", "token", "attempt", "max_attempts").first()
    return Claim(*found) if found else None


def _take(job_id: int, token: uuid.UUID, node: uuid.UUID, pid: int) -> int:
    serving = Node.objects.filter(pk=node, is_draining=False)
    due = Job.objects.filter(
        Exists(serving),
        pk=job_id,
        state=JobState.QUEUED,
        run_after__lte=Now(),
        cancel_requested_at=None,
    )
    return due.update(
        state=JobState.RUNNING,
        token=token,
        attempt=F("attempt") + 1,
        owner=node,
        owner_pid=pid,
        started_at=Now(),
        version=F("version") + 1,
        **_AS_NEW,
        **_fresh_lease(),
    )


def heartbeat(claim: Claim, report: JobReport) -> bool:
    """Extend the lease and write what changed. False: the job is not this owner's any more."""
    columns = dict(report.columns)
    if report.columns or report.events:
        columns["version"] = F("version") + 1
    with transaction.atomic():
        if not _owned(claim).update(**columns, **_fresh_lease()):
            return False
        _log(claim, report.events, report.ages)
    return True


def finish(claim: Claim, end: End, *, while_true: Q = ALWAYS) -> bool:
    """Record the final state: running → `end.state`. False if it is not this owner's any more."""
    with transaction.atomic():
        changed = (
            _owned(claim)
            .filter(while_true)
            .update(
                state=end.state,
                finished_at=Now(),
                hook_due_at=Now(),
                lease_until=None,
                version=F("version") + 1,
                **_error_columns(end),
            )
        )
        if changed:
            _close_attempt(claim, end.state, end)
    transaction.on_commit(dispatch.notify)
    return bool(changed)


def retry(claim: Claim, end: End, *, while_true: Q = ALWAYS) -> bool:
    """Requeue a job for another attempt: running → queued.

    False if no attempts are left, the job was cancelled, or it is not this owner's any more.
    """
    seconds = settings.JOB_SECONDS
    wait = back_off(
        claim.attempt,
        base_seconds=seconds["retry"],
        most_seconds=seconds["retry_most"],
        chance=_CHANCE,
    )
    left = Q(attempt__lt=F("max_attempts"), cancel_requested_at=None)
    return _back_to_queue(
        claim, end, wait, outcome=f"{end.state}, retried", while_true=while_true & left
    )


def requeue(claim: Claim) -> bool:
    """Requeue a job as the worker drains; no attempt is lost. Returns False as `retry` does."""
    end = End(JobState.QUEUED, message="the worker was stopped; the job starts again")
    not_cancelled = Q(cancel_requested_at=None)
    return _back_to_queue(
        claim, end, timedelta(0), outcome="drained", while_true=not_cancelled, given_back=1
    )


def requeue_after_outage(claim: Claim, end: End) -> bool:
    """Requeue a job because the catalog did not answer the runner; no attempt is lost.

    Every kind of work can be started again. Returns False as `retry` does, and after
    `MOST_OUTAGES`.
    """
    if JobAttempt.objects.filter(job=claim.job_id, outcome=_OUTAGE).count() >= MOST_OUTAGES:
        return False
    wait = timedelta(seconds=settings.JOB_SECONDS["heartbeat"])
    not_cancelled = Q(cancel_requested_at=None)
    return _back_to_queue(claim, end, wait, outcome=_OUTAGE, while_true=not_cancelled, given_back=1)


def interrupt(claim: Claim, reason: str, *, while_true: Q = ALWAYS) -> JobState | None:
    """Record that the runner died; requeue the job if attempts are left. None if not owned."""
    end = End(
        JobState.INTERRUPTED,
        code="Interrupted",
        message=reason,
        hint="nothing unfinished is kept; start it again once the cause is known",
    )
    if retry(claim, end, while_true=while_true):
        return JobState.QUEUED
    for state, condition in (
        (JobState.CANCELLED, Q(cancel_requested_at__isnull=False)),
        (JobState.INTERRUPTED, Q(cancel_requested_at=None)),
    ):
        last = End(state, end.code, end.message, end.hint)
        if finish(claim, last, while_true=while_true & condition):
            return state
    return None


def _back_to_queue(
    claim: Claim,
    end: End,
    wait: timedelta,
    *,
    outcome: str,
    while_true: Q,
    given_back: int = 0,
) -> bool:
    with transaction.atomic():
        changed = (
            _owned(claim)
            .filter(while_true)
            .update(
                state=JobState.QUEUED,
                run_after=Now() + wait,
                attempt=F("attempt") - given_back,
                token=None,
                owner=None,
                owner_pid=None,
                lease_until=None,
                dispatched_at=None,
                version=F("version") + 1,
                **_error_columns(end),
            )
        )
        if changed:
            _close_attempt(claim, outcome, end)
    transaction.on_commit(dispatch.notify)
    return bool(changed)


def _owned(claim: Claim) -> Any:
    return Job.objects.filter(pk=claim.job_id, token=claim.token, state=JobState.RUNNING)


_AS_NEW: dict[str, Any] = {
    "finished_at": None,
    "phase": "",
    "done_bytes": 0,
    "total_bytes": None,
    "rate": 0,
    "error_code": "",
    "error": "",
    "hint": "",
    "details": "",
}


def _fresh_lease() -> dict[str, Any]:
    lease = timedelta(seconds=settings.JOB_SECONDS["lease"])
    return {"heartbeat_at": Now(), "lease_until": Now() + lease}


def _error_columns(end: End) -> dict[str, str]:
    return {
        "error_code": end.code[:64],
        "error": end.message,
        "hint": end.hint,
        "details": end.details,
    }


def _close_attempt(claim: Claim, outcome: str, end: End) -> None:
    JobAttempt.objects.filter(token=claim.token).update(
        finished_at=Now(), outcome=str(outcome)[:32], error=end.message
    )
    if end.message:
        kind = "note" if end.state == JobState.QUEUED else "error"
        _log(claim, [(kind, end.message)])


def _log(claim: Claim, events: Sequence[tuple[str, str]], ages: Sequence[float] = ()) -> None:
    known = [*ages, *repeat(0.0, len(events) - len(ages))]
    for (kind, text), age in zip(events, known, strict=True):
        at = Now() - timedelta(seconds=age) if age else Now()
        JobEvent.objects.create(
            job_id=claim.job_id, attempt=claim.attempt, at=at, kind=kind, text=text
        )


def _one_claim_at_a_time() -> None:
    # SQLite needs no lock here: its transactions are IMMEDIATE, so there is one writer.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK])
