"""Deletion of history: ended jobs that nothing refers to, dead workers, records of q2.

Every worker does it once an hour. Each pass deletes a bounded number, in transactions short enough
that no other waits for them; the next pass goes on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ, Task

from covetbackup.jobs.models import ACTIVE_STATES, Job, JobAttempt, JobEvent, Node

KEPT = timedelta(days=14)
"""Dead nodes and q2's own records (it never removes failed ones) are kept this long."""

BATCH = 100
BATCHES = 20
TASKS_LOOKED_AT = 1000
"""There are hardly ever any: a notification that was received is gone."""

RUN = "covetbackup.jobs.supervisor.run"


def purge() -> None:
    """Make one pass over everything."""
    purge_jobs()
    purge_notifications()
    old = timezone.now() - KEPT
    _delete(Task.objects.filter(stopped__lt=old).order_by("stopped"))
    _delete(Node.objects.filter(heartbeat_at__lt=Now() - KEPT, jobs=None).order_by("heartbeat_at"))


def purge_jobs() -> None:
    """Delete jobs that ended `settings.JOB_HISTORY_DAYS` ago, with their attempts and logs.

    One that a row of another app refers to, a backup or a restore, is part of that row's history
    and stays for as long as it does.
    """
    before = timezone.now() - timedelta(days=settings.JOB_HISTORY_DAYS)
    ended = Job.objects.exclude(state__in=ACTIVE_STATES)
    _delete(_unreferenced(ended.filter(finished_at__lt=before, hook_due_at=None)).order_by("pk"))


def purge_notifications() -> None:
    """Remove notifications of jobs that have ended or are gone, in queues that no worker serves."""
    tasks = {}
    for row in OrmQ.objects.order_by("pk")[:TASKS_LOOKED_AT]:
        if row.task.get("func") == RUN:
            tasks[row.pk] = row.task["args"][0]
    waiting = set(
        Job.objects.filter(pk__in=tasks.values(), state__in=ACTIVE_STATES).values_list(
            "pk", flat=True
        )
    )
    silent = [pk for pk, job_id in tasks.items() if job_id not in waiting]
    OrmQ.objects.filter(pk__in=silent).delete()


def _unreferenced(jobs: QuerySet[Job]) -> QuerySet[Job]:
    # Asked of the models: those that refer to jobs from above are not known here.
    for relation in Job._meta.related_objects:
        if relation.related_model not in (JobAttempt, JobEvent):
            rows = relation.related_model._default_manager
            jobs = jobs.exclude(Exists(rows.filter(**{relation.field.name: OuterRef("pk")})))
    return jobs


def _delete(rows: QuerySet[Any]) -> None:
    for _ in range(BATCHES):
        keys = list(rows.values_list("pk", flat=True)[:BATCH])
        if not keys:
            return
        rows.model._default_manager.filter(pk__in=keys).delete()
