"""A catalog as large as it gets: many databases with many backups each, made in a minute.

Rows are as wide as real ones, with inventories and phases: what a page must not read costs then.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, islice

from django.utils import timezone

from backups.models import Backup, BackupCopy, Database, Repository
from covetbackup.access.models import Team
from covetbackup.audit.log import head
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.jobs.models import Job, JobState
from restores.models import Restore
from tests.web import factories

_BATCH = 5_000
_NOTED = 1_000
"""One backup in so many has a note and a tag."""

_INVENTORY = {
    "tables": [
        {"schema": "public", "name": f"orders_{n:02d}", "rows": 25_000 * n, "exact": True}
        for n in range(12)
    ],
    "objects": {"index": 30, "view": 4, "trigger": 2},
    "extensions": ["plpgsql 1.0"],
    "settings": {"encoding": "UTF8", "collation": "C.UTF-8", "server_version": "15.14"},
}
_PHASES = [
    {"name": name, "seconds": 60.0} for name in ("connect", "dump", "compress", "store", "manifest")
]


def make_fleet(team: Team, *, databases: int, backups_each: int) -> Repository:
    """`databases` on ten servers, `backups_each` of each, one a day, each with its job and its line
    in the audit log; a restore of one in a hundred; one job that runs. Returns the repository
    that all copies are in."""
    repository = factories.make_repository_row(team, is_default=True)
    servers = [factories.make_server(team) for _ in range(10)]
    Database.objects.bulk_create(
        Database(server=servers[n % 10], name=f"shop{n:04d}", is_new=False, size_bytes=10**9 + n)
        for n in range(databases)
    )
    made = list(Database.objects.filter(server__in=servers).select_related("server"))
    rows = _backups(made, backups_each, timezone.now())
    while batch := list(islice(rows, _BATCH)):
        _save(team, repository, batch)
    factories.make_job(team, state=JobState.RUNNING, phase="dumping tables")
    return repository


def _save(team: Team, repository: Repository, batch: list[Backup]) -> None:
    jobs = Job.objects.bulk_create(_job(team, backup) for backup in batch)
    for backup, job in zip(batch, jobs, strict=True):
        backup.job = job
    Backup.objects.bulk_create(batch)
    BackupCopy.objects.bulk_create(
        BackupCopy(backup=one, repository=repository, state="stored", stored_at=one.finished_at)
        for one in batch
    )
    Restore.objects.bulk_create(
        Restore(
            backup=one, target_server=one.database.server, request=RestoreRequest("copy", jobs=1)
        )
        for one in batch[::100]
    )
    first = head()[0] + 1
    AuditEntry.objects.bulk_create(
        _entry(team, backup, sequence)
        for backup, sequence in zip(batch, count(first), strict=False)
    )


def _backups(databases: list[Database], each: int, now: datetime) -> Iterator[Backup]:
    for number in range(each):
        for place, database in enumerate(databases):
            nth = number * len(databases) + place
            at = now - timedelta(days=number, seconds=place)
            is_good = (number + database.pk) % 50 != 0
            pk = uuid.uuid4()
            yield Backup(
                id=pk,
                database=database,
                state="available" if is_good else "failed",
                label=f"{database.name}-1f2e3d4c/{at:%Y%m%dT%H%M%SZ}-{pk.hex}" if is_good else "",
                method="logical",
                created_at=at,
                consistent_at=at,
                started_at=at,
                finished_at=at + timedelta(minutes=5),
                plain_bytes=10**9 + nth,
                stored_bytes=3 * 10**8 + nth,
                row_count=10**6,
                table_count=40,
                phases=_PHASES,
                inventory=_INVENTORY,
                note="before the upgrade" if nth % _NOTED == 0 else "",
                tags=["upgrade"] if nth % _NOTED == 0 else [],
            )


def _job(team: Team, backup: Backup) -> Job:
    return Job(
        team=team,
        kind="backup",
        title=f"Back up {backup.database.name}",
        state=JobState.FAILED if backup.state == "failed" else JobState.SUCCEEDED,
        run_after=backup.created_at,
        started_at=backup.started_at,
        finished_at=backup.finished_at,
        argument={"backup": str(backup.pk)},
        attempt=1,
    )


def _entry(team: Team, backup: Backup, sequence: int) -> AuditEntry:
    """Its digests chain nothing."""
    return AuditEntry(
        sequence=sequence,
        at=backup.created_at,
        team=team,
        actor="system",
        action="backup.run",
        object_kind="database",
        object_id=str(backup.database_id),
        object_name=f"{backup.database.server}/{backup.database.name}",
        outcome="done",
        via="worker",
        previous="0" * 64,
        digest="0" * 64,
    )
