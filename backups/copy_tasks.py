"""The work behind jobs of kind copy, and what is done when one has ended.

A copy is made from one that is there, byte for byte; the database is not read again, and no key
is needed. What two attempts of one job leave is taken up by the next; what the last one leaves is
removed.
"""

from __future__ import annotations

import logging

from django.utils import timezone

from backups import engine_factory
from backups.copy_requests import request_again
from backups.models import Backup, BackupCopy
from backups.orphans import GIVE_UP_AFTER, PATIENCE, is_published
from backups.state import GOOD_COPIES, record_copied, record_not_copied, sha256_of
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.registry import member_check
from covetbackup.core.errors import (
    Conflict,
    CovetError,
    DigestMismatch,
    IntegrityError,
    StorageUnavailable,
)
from covetbackup.core.operations.copy import copy_backup, mend_indexes
from covetbackup.core.operations.delete import delete_backup, discard_backup
from covetbackup.core.operations.verify import VerifyLevel, VerifyResult, verify_backup
from covetbackup.core.progress import Progress
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import with_patience
from covetbackup.jobs.work import Work

log = logging.getLogger(__name__)


def run_copy(work: Work) -> None:
    """Make the copy that `work` asks for. Cut off anywhere, it is finished by running it again.

    Raises `IntegrityError` and `Conflict`, which another attempt would not help, and
    `StorageUnavailable` for all else: an unmounted disk or a changed password may come right.
    """
    copy = _copy_of(work)
    try:
        _make(work, copy)
    except (IntegrityError, Conflict, StorageUnavailable):
        raise
    except CovetError as error:
        raise StorageUnavailable(error.message, error.hint) from error
    record_copied(copy)


def copy_ended(job: Job) -> None:
    """Record a copy that was not made, and remove its objects, unless it was published.

    A published copy is checked by a new runner. Idempotent; raises `CovetError` when its repository
    cannot be reached, to be called again.
    """
    copy = BackupCopy.objects.filter(job=job).exclude(state__in=GOOD_COPIES).first()
    if copy is None or job.state == JobState.SUCCEEDED:
        return
    record_not_copied(copy, job.error or f"its job was {job.get_state_display().lower()}")
    label = Label.parse(copy.backup.label)
    try:
        target = engine_factory.open_repository(copy.repository, retry=PATIENCE)
        if not is_published(target, label):
            discard_backup(target, label)
        elif job.state == JobState.INTERRUPTED:
            # Whole, if the runner died right after the last step; damaged from before, if it died
            # in its first. To read all of it may take hours, longer than callers can wait.
            request_again(copy, job)
    except CovetError:
        if job.finished_at and timezone.now() - job.finished_at < GIVE_UP_AFTER:
            raise
        log.warning("leftovers stay until a cleanup copy=%s label=%s", copy.pk, label)


def _copy_of(work: Work) -> BackupCopy:
    rows = BackupCopy.objects.select_related("repository", "backup__database__server")
    copy = rows.filter(pk=work.argument["copy"]).first()
    if copy is None or not copy.backup.is_restorable:
        raise Conflict("there is nothing to copy any more", "was the backup removed meanwhile?")
    return copy


def _make(work: Work, copy: BackupCopy) -> None:
    """From the first good copy that can be read."""
    label = Label.parse(copy.backup.label)
    target = engine_factory.open_repository(copy.repository)
    checked = _checked(target, label, work.progress)
    if checked and checked.ok and not checked.lost_indexes:
        return
    failure: CovetError = Conflict(f"there is no good copy of {copy.backup}", "see each copy")
    for source in with_patience(lambda: _sources(copy)):
        try:
            opened = engine_factory.open_repository(source.repository)
            _refuse_changed(opened, label, copy.backup)
            if checked and checked.ok:
                mend_indexes(opened, label, target, progress=work.progress)
                return
            _clear_damaged(opened, target, label, work.progress)
            copy_backup(opened, label, target, progress=work.progress, before_publish=work.confirm)
            return
        except CovetError as error:
            work.progress.note(f"not copied from {source.repository}: {error}")
            failure = error
    raise failure


def _sources(copy: BackupCopy) -> list[BackupCopy]:
    others = copy.backup.copies.exclude(pk=copy.pk).filter(state__in=GOOD_COPIES)
    return list(others.select_related("repository").order_by("pk"))


def _refuse_changed(source: BackupRepository, label: Label, backup: Backup) -> None:
    found = sha256_of(source.manifest_bytes(label))
    if backup.manifest_sha256 not in ("", found):
        raise DigestMismatch(f"the manifest in {source.name} is not the one that was written")


def _clear_damaged(
    source: BackupRepository, target: BackupRepository, label: Label, progress: Progress
) -> None:
    """Remove a damaged copy from `target`, if there is one and the source is known to be whole:
    the damaged one may be all that is left."""
    if not is_published(target, label):
        return
    if not _is_whole(source, label, progress):
        raise IntegrityError(f"the copy in {source.name} is damaged too")
    delete_backup(target, label)


def _is_whole(repository: BackupRepository, label: Label, progress: Progress) -> bool:
    """Whether all its data is there with every byte as it was written."""
    result = _checked(repository, label, progress)
    return result is not None and result.ok


def _checked(repository: BackupRepository, label: Label, progress: Progress) -> VerifyResult | None:
    """What reading all of it finds; None if it is not there."""
    if not is_published(repository, label):
        return None
    return verify_backup(
        repository,
        label,
        VerifyLevel.CHECKSUM,
        keyring=Keyring(),
        check=member_check,
        progress=progress,
    )
