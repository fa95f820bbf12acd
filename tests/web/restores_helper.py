"""Real backups to restore from, and restores run by the test itself."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from django.utils import timezone

from backups.models import Backup, Database
from backups.services import request_backup
from backups.tasks import run_backup
from covetbackup.access.models import User
from covetbackup.audit.log import Actor, actor_of
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import Cancelled, CovetError
from covetbackup.jobs.models import Job
from restores.models import Restore
from restores.requests import request_restore
from restores.targets import best_repository
from restores.tasks import job_ended, run_restore
from tests.web.catalog import FakeWork, reload


def taken(database: Database, **wishes: Any) -> Backup:
    """A finished backup of `database`."""
    backup = request_backup(database, user=None, **wishes)
    assert backup.job is not None
    run_backup(FakeWork(backup.job))
    Job.objects.filter(pk=backup.job.pk).update(state="succeeded")
    return reload(backup)


def plan_for(backup: Backup, name: str = "copy.db", **fields: Any) -> Restore:
    """A restore that is not saved: beside the source, unless `fields`, of the row or its request,
    say otherwise."""
    row = {
        "target_server": fields.pop("server", backup.database.server),
        "repository": fields.pop("repository", None) or best_repository(backup),
        **{name: fields.pop(name) for name in ("retention_days",) if name in fields},
    }
    request = RestoreRequest(**{"database": name, "jobs": 1, **fields})
    return Restore(backup=backup, request=request, **row)


def asked(
    plan: Restore, user: User | None = None, pk: uuid.UUID | None = None, **more: Any
) -> Restore:
    """Request what `plan` says, as often as that is called; `pk` is of the form that is sent."""
    names = ("backup", "repository", "target_server", "request", "retention_days")
    fresh = Restore(pk=pk or uuid.uuid4(), **{name: getattr(plan, name) for name in names})
    return request_restore(fresh, by=actor(user), **more)


def actor(user: User | None) -> Actor:
    return actor_of(user, via="command")


def run(restore: Restore, **how: Any) -> FakeWork:
    """Run the restore as a worker does, its end and its hook included; raises what it raised."""
    assert restore.job is not None
    Job.objects.filter(pk=restore.job.pk).update(state="running", token=restore.pk)
    restore.job.refresh_from_db()
    work = FakeWork(restore.job, **how)
    try:
        run_restore(work)
    except BaseException as error:
        state = "cancelled" if isinstance(error, Cancelled) else "failed"
        code = error.code if isinstance(error, CovetError) else ""
        ended(restore, state, str(error), code)
        raise
    ended(restore, "succeeded")
    return work


def ended(restore: Restore, state: str, error: str = "", code: str = "") -> None:
    """What a supervisor does with a job that has ended, however it went."""
    assert restore.job is not None
    now = timezone.now()
    times = {"started_at": now, "finished_at": now, "token": None}
    Job.objects.filter(pk=restore.job.pk).update(state=state, error=error, error_code=code, **times)
    restore.job.refresh_from_db()
    job_ended(restore.job)
    restore.refresh_from_db()


def rows_in(path: Path, table: str = "item") -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
