"""The shell of a catalog with real databases in it: has them backed up, and looks into the
repository to see what came of it."""

from __future__ import annotations

# isort: off
# Sets Django up, which all that follows needs.
from tests.web.jobs.remote_shell import attempts, events, job, nodes, prepare, serve, states

# isort: on

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from backups import installation, onboarding
from backups.copy_requests import request_copy
from backups.engine_factory import open_repository
from backups.models import Backup, BackupCopy, Database, Repository, Server
from backups.services import request_backup, request_delete, request_verify
from covetbackup.access.models import Team
from covetbackup.audit.log import actor_of
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.registry import member_check
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.manager import default_workers
from covetbackup.core.operations.delete import cleanup_repository
from covetbackup.core.operations.verify import VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository.layout import Label
from covetbackup.jobs.models import Job
from restores.models import Restore
from restores.requests import Confirmation, request_restore

__all__ = ["attempts", "events", "job", "nodes", "prepare", "states"]

ATTEMPTS = 1000
"""Far more than a test kills: a backup that fails has failed for another reason."""


def furnish(folder: str, port: int, password: str) -> None:
    """A team with keys and a repository, a folder of SQLite files and a PostgreSQL server."""
    team = installation.set_up(team="crew").team
    Server.objects.create(team=team, name="files", kind="sqlite", folder=folder)
    add_server("postgres", "postgresql", "postgres", port, password)


def add_server(name: str, kind: str, user: str, port: int, password: str) -> None:
    server = Server(
        team=Team.objects.get(), name=name, kind=kind, host="127.0.0.1", port=port, user=user,
        sslmode="disable",
    )  # fmt: skip
    server.save()
    onboarding.save_server(server, password)


def add_repository(name: str) -> None:
    url = f"file://{settings.VAR_DIR / name}"
    onboarding.add_repository(Repository(team=Team.objects.get(), name=name, url=url), None)


def back_up(server: str, name: str, codec: str) -> int:
    """Into every repository there is; the job."""
    row, _ = Database.objects.get_or_create(server=Server.objects.get(name=server), name=name)
    repositories = list(Repository.objects.order_by("pk"))
    backup = request_backup(row, user=None, codec=codec, repositories=repositories)
    Job.objects.filter(pk=backup.job_id).update(max_attempts=ATTEMPTS)
    return int(backup.job_id)


def restore(backup_job: int, target: str) -> int:
    """Of the backup that job took, beside its source, over several connections; the job."""
    backup = Backup.objects.get(job=backup_job)
    row = Restore(
        backup=backup, target_server=backup.database.server,
        repository=Repository.objects.earliest("pk"), request=RestoreRequest(target, jobs=3),
    )  # fmt: skip
    asked = request_restore(row, by=actor_of(None, via="command"))
    return int(asked.job_id)


def replace(backup_job: int) -> int:
    """What that job backed up is to take the place of what is there; the job."""
    backup = Backup.objects.get(job=backup_job)
    database = backup.database
    row = Restore(
        backup=backup, target_server=database.server,
        repository=Repository.objects.earliest("pk"),
        request=RestoreRequest(database.name, replace=True, jobs=1),
    )  # fmt: skip
    confirmed = Confirmation(database.name, has_safety_backup=False)
    return int(request_restore(row, by=actor_of(None, "command"), confirmed=confirmed).job_id)


def verify(backup_job: int) -> int:
    """Every stored byte of the backup that job took; the job."""
    return request_verify(Backup.objects.get(job=backup_job), VerifyLevel.CHECKSUM, user=None).pk


def copy(backup_job: int, repository: str) -> int:
    """Of the backup that job took to another repository; the job."""
    row = Repository.objects.get(name=repository)
    return request_copy(Backup.objects.get(job=backup_job), row, user=None).pk


def delete(backup_job: int) -> int:
    return request_delete(Backup.objects.get(job=backup_job), user=None).pk


def remains(job: int) -> dict[str, Any]:
    """What was found of the restore of that job when it had ended without success."""
    return dict(Restore.objects.get(job=job).result)


def backups() -> list[dict[str, Any]]:
    return list(Backup.objects.values("job", "state", "label", "database__name"))


def copies() -> list[dict[str, Any]]:
    """With the jobs that make up for those that failed."""
    rows = BackupCopy.objects.order_by("repository")
    return list(rows.values("state", "problem", "job__state", "job__attempt", "repository__name"))


def hooks_due() -> int:
    return Job.objects.exclude(hook_due_at=None).count()


def published() -> list[str]:
    repository = open_repository(Repository.objects.earliest("pk"))
    return [str(found.label) for found in repository.backups()]


def damaged() -> list[str]:
    """What a look at every stored byte finds wrong."""
    repository = open_repository(Repository.objects.earliest("pk"))
    faults = []
    for label in published():
        result = verify_backup(
            repository, Label.parse(label), VerifyLevel.CHECKSUM, keyring=Keyring(),
            check=member_check, progress=Silent(), workers=default_workers(),
        )  # fmt: skip
        faults += [str(finding.error) for finding in result.findings]
    return faults


def sweep() -> list[str]:
    """Sweeps; what had been left."""
    repository = open_repository(Repository.objects.earliest("pk"))
    swept = cleanup_repository(repository, datetime.now(UTC) + timedelta(minutes=1))
    return [*map(str, swept.labels), *swept.uploads]


def orphans() -> list[str]:
    """Files in the repository that belong to no published backup."""
    top: Path = settings.VAR_DIR / "repository"
    folders = {Label.parse(label).folder for label in published()}
    ids = {Label.parse(label).backup_id.hex() for label in published()}
    files = [path for part in ("b", "keys-mirror") for path in (top / part).rglob("*")]
    return [
        str(path.relative_to(top))
        for path in files
        if path.is_file()
        and f"{path.relative_to(top).parent}/" not in folders
        and path.name.split(".")[0] not in ids
    ]


def clear() -> None:
    """The catalog is thrown away with its folder."""


if __name__ == "__main__":
    serve(globals())
