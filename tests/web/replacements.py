"""Replacements run by the test itself: the safety backup, the tick, and the restore."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from backups.models import Backup
from backups.tasks import job_ended as backup_ended, run_backup
from covetbackup.access.models import User
from covetbackup.core.errors import CovetError
from covetbackup.jobs.models import Job
from restores import retained_tasks
from restores.models import Restore, RetainedDatabase
from restores.requests import Confirmation
from restores.retained import drop_due, request_drop, request_swap_back
from restores.tick import tick
from tests.web.catalog import FakeWork
from tests.web.restores_helper import actor, asked, plan_for, run


def replacement(backup: Backup, name: str = "", **fields: Any) -> Restore:
    """Of what was backed up itself, unless another is named."""
    return plan_for(backup, name or backup.database.name, replace=True, **fields)


def confirmed(plan: Restore, user: User | None = None, *, safety: bool = False) -> Restore:
    return asked(plan, user, confirmed=Confirmation(plan.request.database, safety))


def replaced(backup: Backup, name: str = "", **fields: Any) -> RetainedDatabase:
    """What `backup` took the place of, without a safety backup."""
    restore = confirmed(replacement(backup, name, **fields))
    run(restore)
    return RetainedDatabase.objects.get(restore=restore)


def is_waiting(restore: Restore) -> bool:
    """Whether its job would not start, were there a worker."""
    tick()
    job = Job.objects.get(pk=restore.job_id)
    return job.state == "queued" and job.run_after > timezone.now() + timedelta(days=1)


def take_safety_backup(restore: Restore, **how: Any) -> None:
    """What a worker does with its job, whether or not that goes well."""
    job = Job.objects.get(pk=restore.safety_backup.job_id)
    state, problem = "succeeded", ""
    try:
        run_backup(FakeWork(job, **how))
    except CovetError as error:
        state, problem = "failed", error.message
    Job.objects.filter(pk=job.pk).update(state=state, error=problem)
    job.refresh_from_db()
    backup_ended(job)


def dropped(kept: RetainedDatabase, user: User | None = None) -> None:
    run_kept(request_drop(kept, by=actor(user), typed=kept.name))


def swapped_back(kept: RetainedDatabase, user: User | None = None) -> list[str]:
    return run_kept(request_swap_back(kept, by=actor(user), typed=kept.restore.request.database))


def drop_all_due(days: float) -> list[str]:
    """What the tick asks to drop when so many days have gone by, run as a worker does; what stood
    in the way of each."""
    drop_due(timezone.now() + timedelta(days=days))
    problems = []
    for job in Job.objects.filter(kind="drop_kept", state="queued").order_by("pk"):
        try:
            run_kept(job)
        except CovetError as error:
            problems.append(error.message)
    return problems


def run_kept(job: Job) -> list[str]:
    """Run a job of a kept database as a worker does, its end and its hook included; its notes."""
    works = {
        "drop_kept": (retained_tasks.run_drop, retained_tasks.drop_ended),
        "swap_back": (retained_tasks.run_swap_back, retained_tasks.swap_back_ended),
    }
    work, ended = works[job.kind]
    now, attempt = timezone.now(), FakeWork(job)
    state, problem = "succeeded", ""
    try:
        work(attempt)
    except CovetError as error:
        state, problem = "failed", error.message
        raise
    finally:
        Job.objects.filter(pk=job.pk).update(
            state=state, error=problem, started_at=now, finished_at=now
        )
        job.refresh_from_db()
        ended(job)
    return attempt.notes
