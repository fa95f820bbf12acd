"""What is forgotten of jobs, and what never is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

from backups.models import BackupCopy, Hold
from covetbackup.access.models import Team
from covetbackup.jobs import history
from covetbackup.jobs.models import Job, JobAttempt, JobEvent, Node
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_repository_row,
    make_restore,
    make_server,
)

LONG_AGO = timezone.now() - timedelta(days=91)


def old_job(team: Team, **fields: Any) -> Job:
    job = make_job(team, **({"state": "succeeded", "finished_at": LONG_AGO} | fields))
    JobEvent.objects.create(job=job, at=LONG_AGO, kind="note", text="once")
    JobAttempt.objects.create(job=job, number=1, token=uuid4(), pid=1, started_at=LONG_AGO)
    return job


def test_old_jobs_go_with_their_attempts_and_logs(team: Team) -> None:
    for state in ("succeeded", "failed", "cancelled", "interrupted"):
        old_job(team, state=state)
    history.purge()
    assert not Job.objects.exists() and not JobEvent.objects.exists()
    assert not JobAttempt.objects.exists()


def test_young_unsettled_and_active_jobs_stay(team: Team) -> None:
    kept = [
        old_job(team, finished_at=timezone.now() - timedelta(days=89)),
        old_job(team, hook_due_at=LONG_AGO),
        old_job(team, state="queued"),
        old_job(team, state="running"),
    ]
    history.purge()
    assert set(Job.objects.all()) == set(kept)


def test_the_number_of_days_is_a_setting(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    old_job(team)
    monkeypatch.setattr(settings, "JOB_HISTORY_DAYS", 100)
    history.purge()
    assert Job.objects.exists()


def test_what_a_record_refers_to_stays_as_long_as_the_record(team: Team) -> None:
    server = make_server(team)
    backup = make_backup_row(make_database(server), job=old_job(team))
    copy = BackupCopy.objects.create(
        backup=backup, repository=make_repository_row(team), job=old_job(team)
    )
    restore = make_restore(backup, server, job=old_job(team))
    hold = Hold.objects.create(backup=backup, reason="why not", job=old_job(team))
    history.purge()
    assert Job.objects.count() == JobEvent.objects.count() == 4
    for record in (hold, restore, copy, backup):
        record.delete()
    history.purge()
    assert not Job.objects.exists()


def test_a_pass_removes_no_more_than_it_may(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BATCH", 2)
    monkeypatch.setattr(history, "BATCHES", 2)
    jobs = [old_job(team) for _ in range(5)]
    history.purge()
    assert list(Job.objects.all()) == [jobs[-1]], "the oldest go first"
    history.purge()
    assert not Job.objects.exists()


def test_notifications_of_ended_and_forgotten_jobs_go(team: Team) -> None:
    waiting, ended = make_job(team), make_job(team, state="cancelled")
    for job_id in (waiting.pk, ended.pk, ended.pk + 1000):
        async_task(history.RUN, job_id, cluster="nobody serves it", timeout=-1)
    async_task("builtins.print", ended.pk)
    history.purge()
    assert [row.task["args"] for row in OrmQ.objects.order_by("pk")] == [
        (waiting.pk,),
        (ended.pk,),
    ]


def test_records_of_q2_and_dead_workers_go_after_two_weeks(team: Team) -> None:
    node = {"host": "here", "queue": "jobs", "pid": 1, "version": "1", "capacity": 1}
    for days in (13, 15):
        then = timezone.now() - timedelta(days=days)
        Task.objects.create(id=f"{days}", name=f"{days}", func="f", started=then, stopped=then)
        Node.objects.create(instance=uuid4(), started_at=then, heartbeat_at=then, **node)
    history.purge()
    assert Task.objects.get().name == "13"
    assert Node.objects.count() == 1
