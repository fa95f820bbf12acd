"""The work behind jobs of kinds backup, verify and delete, and what is done when one has ended.

Each function runs in a process of its own; any of them may be killed at any moment and be started
again. `job_ended` runs in the worker, when nothing of the job runs any more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from django.utils import timezone

from backups import copy_requests, engine_factory, orphans, state as records
from backups.errors import Held
from backups.models import Backup, BackupCopy, BackupState, CopyState
from backups.models.backup import UNUSABLE_STATES
from backups.phase_timings import PhaseTimes
from backups.reachability import noting_reachability
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.kind import Address
from covetbackup.core.databases.registry import member_check
from covetbackup.core.errors import Conflict, CovetError, IntegrityError, ObjectNotFound
from covetbackup.core.manager import PLAIN, STREAMS, default_workers
from covetbackup.core.operations.backup import BackupRequest, BackupResult, take_backup
from covetbackup.core.operations.delete import delete_backup
from covetbackup.core.operations.verify import Finding, VerifyLevel, VerifyResult, verify_backup
from covetbackup.core.repository.layout import Label, new_label, slug_of
from covetbackup.core.stream.codec import CodecSpec
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import with_patience
from covetbackup.jobs.work import Work

log = logging.getLogger(__name__)


def run_backup(work: Work) -> None:
    """Take the backup that `work` asks for, and record it.

    The label is in the catalog before the first byte is stored, so that whatever happens to this
    process its objects can be found.
    """
    backup = _backup_of(work)
    if backup.state != BackupState.PENDING:
        raise Conflict(f"{backup} is {backup.state}, so there is nothing left to do")
    if orphans.has_leftovers(backup) and _was_cleaned_up(work, backup):
        return
    with noting_reachability(backup.database.server):
        _take(work, backup)


def _take(work: Work, backup: Backup) -> None:
    address = engine_factory.engine_for(backup.database)
    repositories, failures = orphans.reachable(backup)
    if not repositories:
        raise next(iter(failures.values()))
    for name, error in failures.items():
        work.progress.note(f"{name} gets no copy: {error}")
    phases = PhaseTimes(work.progress)
    result = take_backup(
        address.engine,
        list(repositories.values()),
        _request(backup, address, _new_label(backup, address)),
        keyring=engine_factory.writing_keyring_for(backup.database.server.team),
        progress=phases,
        clock=_now,
        before_publish=work.confirm,
    )
    backup.phases = phases.finished()
    with_patience(lambda: backup.save(update_fields=["phases"]))
    result = BackupResult(result.manifest, result.stored_in, {**failures, **result.failures})
    first = repositories[result.stored_in[0]]
    sha256 = records.sha256_of(first.manifest_bytes(result.manifest.label))
    records.record_backup(backup, result, manifest_sha256=sha256)


def _was_cleaned_up(work: Work, backup: Backup) -> bool:
    """Whether the attempt before this one had published the backup. What it left is removed as
    far as its repositories can be reached."""
    try:
        return orphans.clean_up(backup)
    except CovetError as error:
        work.progress.note(f"what the attempt before left is not removed yet: {error}")
        return False


def _new_label(backup: Backup, address: Address) -> Label:
    # The backup's own id, so that addresses of pages survive a rebuilt catalog; but an id is used
    # once only, or the leftovers of two attempts could be mistaken for each other.
    used_before = backup.started_at is not None
    backup_id = os.urandom(16) if used_before else backup.id.bytes
    slug = slug_of(address.engine.kind, address.where, address.database)
    label = new_label(slug, _now(), backup_id)
    backup.label, backup.started_at = str(label), label.started_at
    backup.save(update_fields=["label", "started_at"])
    return label


def _request(backup: Backup, address: Address, label: Label) -> BackupRequest:
    return BackupRequest(
        slug=label.slug,
        database=address.database,
        where=address.where,
        codec=CodecSpec.parse(backup.codec),
        suite=None if backup.cipher == PLAIN else Suite(backup.cipher),
        method=backup.method,
        workers=default_workers(),
        streams=STREAMS,
        label=label,
    )


def run_verify(work: Work) -> None:
    """Verify every stored copy at the requested level.

    Raises `IntegrityError` for faults, after they are recorded; other errors say nothing about the
    backup.
    """
    backup, level = _backup_of(work), VerifyLevel(work.argument["level"])
    faults = []
    for copy in backup.copies.exclude(stored_at=None).select_related("repository"):
        result = _verify_copy(work, backup, copy, level)
        state = _state_after(copy, result)
        problem = _problem(result)
        if problem:
            faults.append(f"{copy.repository}: {problem}")
        elif state is CopyState.CORRUPT:
            problem = copy.problem
        elif result.lost_indexes:  # whole, but slower to read: "Copy again" mends it
            problem = _shown(result.lost_indexes)
        records.record_copy_check(copy, state, problem)
    records.record_verified(backup, level)
    if faults:
        raise IntegrityError(
            f"{backup} is damaged: {'; '.join(faults)}", "restore from another copy or backup"
        )


def _verify_copy(work: Work, backup: Backup, copy: BackupCopy, level: VerifyLevel) -> VerifyResult:
    work.progress.note(f"verifying the copy in {copy.repository}")
    team = backup.database.server.team
    result = verify_backup(
        engine_factory.open_repository(copy.repository),
        Label.parse(backup.label),
        level,
        keyring=with_patience(lambda: engine_factory.keyring_for(team)),
        check=member_check,
        progress=work.progress,
        workers=default_workers(),
    )
    for warning in result.warnings:
        work.progress.note(f"warning: {warning}")
    return result


def _state_after(copy: BackupCopy, result: VerifyResult) -> CopyState:
    if result.findings:
        lost = all(isinstance(found.error, ObjectNotFound) for found in result.findings)
        return CopyState.MISSING if lost else CopyState.CORRUPT
    if result.level in (VerifyLevel.CHECKSUM, VerifyLevel.CONTENT):
        return CopyState.VERIFIED
    # A look at some of it does not take back what a look at all of it found.
    if copy.state in (CopyState.CORRUPT, CopyState.VERIFIED):
        return CopyState(copy.state)
    return CopyState.VERIFIED if result.level is VerifyLevel.SAMPLED else CopyState.STORED


def _problem(result: VerifyResult) -> str:
    return _shown(result.findings)


def _shown(findings: Sequence[Finding]) -> str:
    shown = [f"{found.where}: {found.error}" for found in findings[:5]]
    more = len(findings) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def run_delete(work: Work) -> None:
    """Remove every copy and then the row. Cut off anywhere, it is finished by running it again."""
    backup = _backup_of(work)
    try:
        records.refuse_held(backup)
    except Held:
        records.abandon_removal(backup)
        raise
    for copy in backup.copies.select_related("repository"):
        work.progress.phase(f"removing the copy in {copy.repository}")
        remove_copy(backup, copy)
    records.record_removed(backup)


def remove_copy(backup: Backup, copy: BackupCopy) -> None:
    """Remove the objects of one copy."""
    was_stored = copy.stored_at is not None
    copy.state = CopyState.REMOVING
    copy.save(update_fields=["state"])
    try:
        if backup.label:
            repository = engine_factory.open_repository(copy.repository)
            with suppress(ObjectNotFound):
                delete_backup(repository, Label.parse(backup.label))
    except CovetError as error:
        copy.problem = str(error)
        copy.save(update_fields=["problem"])
        if was_stored:  # a copy that never was need not be reached to be gone
            raise
    copy.delete()


def job_ended(job: Job) -> None:
    """Record the end of a job whose runner could not. Bears repetition.

    Raises `CovetError` when a repository cannot be reached for the cleanup, to be called again.
    """
    _ENDINGS[job.kind](job)


def _backup_ended(job: Job) -> None:
    _record_end(job)
    backup = Backup.objects.filter(job=job).select_related("database__server__team").first()
    if backup is not None:
        copy_requests.replicate_missing(backup)


def _record_end(job: Job) -> None:
    ended = Backup.objects.filter(job=job, state__in=(BackupState.PENDING, *UNUSABLE_STATES))
    backup = ended.select_related("database__server__team").first()
    if backup is None:
        return
    state = _UNUSABLE.get(JobState(job.state), BackupState.FAILED)
    error = job.error or f"its job was {job.get_state_display().lower()}"
    try:
        if orphans.has_leftovers(backup) and orphans.clean_up(backup):
            return
    except CovetError:
        records.record_unusable(backup, state, error, job.hint)
        if job.finished_at and timezone.now() - job.finished_at < orphans.GIVE_UP_AFTER:
            raise
        log.warning("leftovers stay until a cleanup backup=%s label=%s", backup.pk, backup.label)
    records.record_unusable(backup, state, error, job.hint)


_UNUSABLE = {
    JobState.CANCELLED: BackupState.CANCELLED,
    JobState.INTERRUPTED: BackupState.INTERRUPTED,
}


def _verify_ended(job: Job) -> None:
    """Nothing to do: what was verified is recorded, what was not is as it was before."""


def _delete_ended(job: Job) -> None:
    if job.state == JobState.SUCCEEDED:
        return
    left = Backup.objects.filter(pk=job.argument["backup"], state=BackupState.EXPIRING)
    left.update(error=job.error or "its removal was stopped", hint=job.hint)


_ENDINGS: dict[str, Callable[[Job], None]] = {
    "backup": _backup_ended,
    "verify": _verify_ended,
    "delete": _delete_ended,
}


def _backup_of(work: Work) -> Backup:
    rows = Backup.objects.select_related("database__server__team")
    backup = rows.filter(pk=work.argument["backup"]).first()
    if backup is None:
        raise Conflict("the backup is not in the catalog any more", "was it removed meanwhile?")
    return backup


def _now() -> datetime:
    return datetime.now(UTC)
