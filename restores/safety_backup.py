"""The backup that is taken of a database before it is changed; the restore waits until it is good.

The restore's job is held and takes nobody's place meanwhile: a job that waited for another while
it ran could wait for ever, if both need the only slot.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q
from django.db.models.functions import Now

from backups.models import Backup, BackupState, Database, DatabaseState, Repository
from backups.services import default_repositories, request_backup
from covetbackup.access.models import User
from covetbackup.core.errors import BadSetting
from covetbackup.jobs.models import JobState
from covetbackup.jobs.queue import End, give_up, release
from restores.models import Restore


def request_safety_backup(restore: Restore, user: User | None) -> Backup:
    """Request a backup of what `restore` changes that begins after now; a waiting one will do.

    Raises what `request_backup` raises.
    """
    database = _registered(restore)
    waiting = database.backups.filter(state=BackupState.PENDING, job__state=JobState.QUEUED).first()
    if waiting is not None:
        return waiting
    done = "a partial restore of" if restore.request.into_existing else "a replacement by"
    note = f"safety backup before {done} {restore.backup}"
    return request_backup(
        database, user=user, repositories=_repositories(database, restore.repository), note=note
    )


def _registered(restore: Restore) -> Database:
    """The row of the database; one that was made since the last discovery gets one now."""
    row, _ = Database.objects.get_or_create(
        server=restore.target_server,
        name=restore.request.database,
        defaults={"is_included": False, "is_new": False},
    )
    if row.state == DatabaseState.GONE:
        row.state = DatabaseState.PRESENT
        row.save(update_fields=["state"])
    return row


def _repositories(database: Database, fallback: Repository) -> Sequence[Repository]:
    """Where its last good backup went, else the team's default, else the one restored from."""
    last = database.backups.filter(state=BackupState.AVAILABLE).first()
    if last is not None:
        return [copy.repository for copy in last.copies.select_related("repository")]
    try:
        return default_repositories(database)
    except BadSetting:
        if fallback.team_id != database.server.team_id:
            raise
        return [fallback]


def release_ready() -> None:
    """Release the restores whose safety backup is there; give up those whose will not come.

    Part of the tick: idempotent, and right with many workers doing it at once.
    """
    held = Restore.objects.filter(job__state=JobState.QUEUED, job__run_after__gt=Now())
    ended = Q(safety_backup__job=None) | ~Q(safety_backup__job__state__in=_ACTIVE)
    changing = Q(request__replace=True) | Q(request__into_existing=True)
    for restore in held.filter(ended, changing).select_related("job", "safety_backup__job"):
        _decide(restore)


_ACTIVE = (JobState.QUEUED, JobState.RUNNING)


def _decide(restore: Restore) -> None:
    backup, job = restore.safety_backup, restore.job
    assert job is not None
    if backup is not None and backup.is_restorable:
        release(job)
        return
    reason = "it is not in the catalog any more"
    if backup is not None:
        reason = backup.error or (backup.job.error if backup.job else "") or backup.state
    give_up(
        job,
        End(
            JobState.FAILED,
            code="SafetyBackupFailed",
            message=f"the safety backup of {restore.request.database} failed: {reason}",
            hint="nothing was touched; see that backup's page, or restore without a safety backup",
        ),
    )
