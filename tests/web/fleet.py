"""A catalog as large as it gets: many databases with many backups each, made in seconds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.utils import timezone

from backups.models import Backup, BackupCopy, Database, Repository
from covetbackup.access.models import Team
from covetbackup.jobs.models import Job, JobState
from tests.web import factories

_BATCH = 5_000


def make_fleet(team: Team, *, databases: int, backups_each: int) -> Repository:
    """`databases` on ten servers, `backups_each` of each, one a day, and as many jobs as backups
    of one day. Returns the repository that all copies are in."""
    repository = factories.make_repository_row(team, is_default=True)
    servers = [factories.make_server(team) for _ in range(10)]
    now = timezone.now()
    Database.objects.bulk_create(
        Database(server=servers[n % 10], name=f"shop{n:04d}", is_new=False, size_bytes=10**9 + n)
        for n in range(databases)
    )
    rows = _backups(list(Database.objects.filter(server__in=servers)), backups_each, now)
    while batch := list(islice(rows, _BATCH)):
        Backup.objects.bulk_create(batch)
        BackupCopy.objects.bulk_create(
            BackupCopy(backup=one, repository=repository, state="stored", stored_at=now)
            for one in batch
        )
    # Set when a row is inserted, whatever it was made with.
    _spread_over_days(backups_each)
    Job.objects.bulk_create(
        Job(team=team, kind="backup", title=f"job {n}", state=JobState.SUCCEEDED, run_after=now)
        for n in range(databases)
    )
    return repository


def _backups(databases: list[Database], each: int, now: datetime) -> Iterator[Backup]:
    for number in range(each):
        at = now - timedelta(days=number)
        for database in databases:
            yield Backup(
                id=uuid.uuid4(),
                database=database,
                state="available" if (number + database.pk) % 50 else "failed",
                label=f"shop/{number:06d}",
                method="logical",
                consistent_at=at,
                started_at=at,
                finished_at=at + timedelta(minutes=5),
                plain_bytes=10**9,
                stored_bytes=3 * 10**8,
                row_count=10**6,
                table_count=40,
            )


def _spread_over_days(days: int) -> None:
    for number in range(days):
        moment = timezone.now() - timedelta(days=number)
        Backup.objects.filter(label=f"shop/{number:06d}").update(created_at=moment)
