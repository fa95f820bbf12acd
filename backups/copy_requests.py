"""Requests for copies that a backup lacks.

They are made by users, and automatically when a backup ended in fewer repositories than requested.
One job makes one copy, in `copy_tasks`. Its attempts are the policy: see `ATTEMPTS`.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from backups.models import Backup, BackupCopy, BackupState, CopyState, Repository
from backups.state import GOOD_COPIES
from covetbackup.access.models import User
from covetbackup.core.errors import BadSetting, Conflict
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import enqueue

ATTEMPTS = 12
"""With the queue's back-off (30 s, doubling, half an hour at most) a repository may be away for
some three hours; after that a user has to request the copy again."""

TO_BE_MADE = ~Q(state__in=GOOD_COPIES) | ~Q(problem="")
"""Copies that are missing or damaged, and good ones without an index that makes reading faster."""


def replicate_missing(backup: Backup) -> None:
    """Ask for the copies that failed while the backup was taken, each once. Bears repetition."""
    if backup.state == BackupState.DEGRADED:
        failed = backup.copies.filter(state=CopyState.FAILED, job=None)
        for copy in failed.select_related("repository").order_by("pk"):
            request_copy(backup, copy.repository, user=None)


def request_missing(backup: Backup, *, user: User | None) -> list[Job]:
    """Request every copy that does not exist.

    Raises `Conflict` if none is missing, and as `request_copy`.
    """
    missing = backup.copies.filter(TO_BE_MADE).select_related("repository")
    with transaction.atomic():
        jobs = [request_copy(backup, row.repository, user=user) for row in missing.order_by("pk")]
    if not jobs:
        raise Conflict(f"no copy of {backup} is missing")
    return jobs


def request_copy(backup: Backup, repository: Repository, *, user: User | None) -> Job:
    """Request a copy of `backup` in `repository`, which may be new to it.

    A second request while it waits or runs returns the same job. Raises `BadSetting`, `Conflict`.
    """
    with transaction.atomic():
        locked = Backup.objects.select_for_update().get(pk=backup.pk)
        if not locked.is_restorable:
            raise Conflict(f"{backup} is {locked.state}, so there is nothing to copy")
        if repository.team_id != backup.database.server.team_id:
            raise BadSetting(f"repository {repository} belongs to another team")
        copy, _ = BackupCopy.objects.get_or_create(backup=backup, repository=repository)
        if copy.job is not None and copy.job.is_active:
            return copy.job
        _refuse_needless(copy)
        copy.job = _enqueue(copy, user)
        copy.save(update_fields=["job"])
    return copy.job


def request_again(copy: BackupCopy, job: Job) -> None:
    """Request again a copy that seems to exist although the last runner of `job` died.

    A copy begins with reading all objects that exist, and is stored if it is whole. That is done
    once: a fault that ends every runner would go on for ever. Idempotent.
    """
    with transaction.atomic():
        backup = Backup.objects.select_for_update().get(pk=copy.backup_id)
        is_last = BackupCopy.objects.filter(pk=copy.pk, job=job).exists()
        if is_last and backup.is_restorable and not job.argument.get("is_repeat"):
            copy.job = _enqueue(copy, None, is_repeat=True)
            copy.save(update_fields=["job"])


def _refuse_needless(copy: BackupCopy) -> None:
    if copy.state in GOOD_COPIES and not copy.problem:
        raise Conflict(f"{copy.backup} is in {copy.repository} already")
    if copy.job is not None and copy.job.hook_due_at is not None:
        # It would remove what the new job stores.
        raise Conflict(
            f"what job {copy.job.pk} left in {copy.repository} is being removed",
            "try again in a minute or two",
        )


def _enqueue(copy: BackupCopy, user: User | None, *, is_repeat: bool = False) -> Job:
    server = copy.backup.database.server
    return enqueue(
        "copy",
        team=server.team,
        title=f"Copy {copy.backup} to {copy.repository}",
        argument={"backup": str(copy.backup_id), "copy": copy.pk, "is_repeat": is_repeat},
        queue=server.queue,
        requested_by=user,
        lock_key=f"backup:{copy.backup_id}",
        repository_slot=f"repository:{copy.repository_id}",
        max_attempts=ATTEMPTS,
    )
