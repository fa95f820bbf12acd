"""State transitions of backups: every change of a backup's or copy's state is one update here.

Each is idempotent, and waits for a catalog that restarts: hours of a runner's work must not be
repeated for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backups.errors import Held
from backups.models import Backup, BackupCopy, BackupState, CopyState, Hold
from backups.models.backup import RESTORABLE_STATES, UNUSABLE_STATES
from covetbackup.core.manager import PLAIN
from covetbackup.core.operations.backup import BackupResult
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.core.repository.manifest import Manifest
from covetbackup.jobs.outage import patient, with_patience

GOOD_COPIES = (CopyState.STORED, CopyState.VERIFIED)
DAMAGED_COPIES = (CopyState.MISSING, CopyState.CORRUPT)
"""What a verification found to be lost."""


@patient
def record_backup(backup: Backup, result: BackupResult, *, manifest_sha256: str = "") -> None:
    """Record a finished backup: pending → available, or degraded if a copy failed.

    `result` names repositories as their rows do. A backup that was given up, because its runner
    died, may turn out to be published after all. Does nothing in any other state.
    """
    now = timezone.now()
    with transaction.atomic():
        state = BackupState.DEGRADED if result.failures else BackupState.AVAILABLE
        before = [BackupState.PENDING, *UNUSABLE_STATES]
        if not _move(backup, before, state, label=str(result.manifest.label)):
            return
        for copy in backup.copies.select_related("repository"):
            error = result.failures.get(copy.repository.name)
            copy.state = CopyState.FAILED if error else CopyState.STORED
            copy.stored_at = None if error else now
            copy.problem = str(error) if error else ""
            copy.save(update_fields=["state", "stored_at", "problem"])
        describe(backup, result.manifest)
        backup.manifest_sha256 = manifest_sha256
        backup.save(update_fields=[*DESCRIBED, "manifest_sha256"])


DESCRIBED = (
    "label",
    "method",
    "codec",
    "cipher",
    "server_version",
    "tool_version",
    "position",
    "consistent_at",
    "started_at",
    "finished_at",
    "plain_bytes",
    "stored_bytes",
    "table_count",
    "row_count",
    "inventory",
    "warnings",
    "error",
    "hint",
)
"""The fields that `describe` sets."""


def describe(backup: Backup, manifest: Manifest) -> None:
    """Set what `manifest` says on the row, without saving; sealed details stay as they are."""
    backup.label = str(manifest.label)
    backup.method = manifest.method
    backup.codec = str(manifest.codec)
    backup.cipher = manifest.suite.value if manifest.suite else PLAIN
    backup.server_version = manifest.server_version[:64]
    backup.tool_version = manifest.tool_version[:64]
    backup.position = manifest.span.stop_position[:64]
    backup.consistent_at = manifest.span.stopped_at
    backup.started_at, backup.finished_at = manifest.started_at, manifest.finished_at
    backup.stored_bytes = manifest.stored_size
    backup.error = backup.hint = ""
    if manifest.details is None:
        return
    inventory = manifest.details.inventory
    backup.plain_bytes = manifest.details.plain_size
    backup.table_count, backup.row_count = len(inventory.tables), inventory.row_count
    backup.inventory = inventory.to_json()
    backup.warnings = list(manifest.details.warnings)


def sha256_of(data: bytes) -> str:
    """Return the digest of a manifest as `Backup.manifest_sha256` holds it."""
    return hashlib.sha256(data).hexdigest()


@patient
def record_unusable(backup: Backup, state: BackupState, error: str, hint: str) -> None:
    """Record a backup without result: pending → `state`, one of `UNUSABLE_STATES`.

    Does nothing in any other state.
    """
    with transaction.atomic():
        fields = {"error": error, "hint": hint, "finished_at": timezone.now()}
        if _move(backup, [BackupState.PENDING], state, **fields):
            backup.copies.update(state=CopyState.FAILED)


@patient
def record_copy_check(copy: BackupCopy, state: CopyState, problem: str) -> None:
    """Record what a verification found in one copy.

    The state of the backup follows from all copies.
    """
    copy.state, copy.problem, copy.checked_at = state, problem, timezone.now()
    copy.save(update_fields=["state", "problem", "checked_at"])


def recompute_state(backup: Backup) -> BackupState:
    """Return the state by the copies: available if all are good, degraded if some, else failed."""
    states = list(backup.copies.values_list("state", flat=True))
    good = sum(state in GOOD_COPIES for state in states)
    state = BackupState.DEGRADED if good else BackupState.FAILED
    if states and good == len(states):
        state = BackupState.AVAILABLE
    fields = {"error": "", "hint": ""}
    if not good:
        fields = {"error": "no copy of it is intact", "hint": "see each copy"}
    _move(backup, [*RESTORABLE_STATES, BackupState.FAILED], state, **fields)
    return state


@patient
def record_copied(copy: BackupCopy) -> None:
    """Record a copy that is stored now; it may have been the last that was missing."""
    copy.state, copy.stored_at, copy.problem = CopyState.STORED, timezone.now(), ""
    copy.save(update_fields=["state", "stored_at", "problem"])
    recompute_state(copy.backup)
    _record_problems(copy.backup)


@patient
def record_not_copied(copy: BackupCopy, problem: str) -> None:
    """Record why a copy was not made.

    A verification's finding that it is damaged or missing stays.
    """
    if copy.state in (CopyState.PENDING, CopyState.FAILED):
        copy.state, copy.problem = CopyState.FAILED, problem
        copy.save(update_fields=["state", "problem"])
        recompute_state(copy.backup)


@patient
def record_verified(backup: Backup, level: VerifyLevel) -> None:
    """Record the result of a verification of all copies, each recorded by `record_copy_check`."""
    recompute_state(backup)
    _record_problems(backup)
    if not backup.verify_problem:
        backup.verified_at, backup.verified_level = timezone.now(), level.value
        backup.save(update_fields=["verified_at", "verified_level"])


def _record_problems(backup: Backup) -> None:
    """What is wrong with the copies that are there: "" once each damaged one was made again."""
    damaged = backup.copies.filter(state__in=DAMAGED_COPIES).select_related("repository")
    found = [f"{copy.repository}: {copy.problem or copy.state}" for copy in damaged.order_by("pk")]
    backup.verify_problem = "; ".join(found)
    backup.save(update_fields=["verify_problem"])


@patient
def abandon_removal(backup: Backup) -> None:
    """Take back a removal, as the backup was held: expiring → the state by its copies."""
    if _move(backup, [BackupState.EXPIRING], BackupState.DEGRADED):
        recompute_state(backup)


def refuse_held(backup: Backup) -> None:
    """Raise `Held` if a pin or a hold keeps `backup` from being removed."""
    if backup.is_pinned:
        raise Held(f"{backup} is pinned", "unpin it first, if it may really go")
    hold = backup.holds.first()
    if hold is not None:
        raise Held(f"{backup} is held: {hold.reason}", "wait until that is over, or end the hold")


def begin_removal(backup: Backup) -> bool:
    """Begin to remove `backup`; return whether its state allowed that, and it is expiring now."""
    allowed = [*RESTORABLE_STATES, *UNUSABLE_STATES, BackupState.EXPIRING]
    return _move(backup, allowed, BackupState.EXPIRING)


def record_removed(backup: Backup) -> None:
    """Record a removal: expiring → deleted, or removed if history refers to the row."""
    backup_id = backup.pk  # `delete` empties the row in hand, also if the commit is lost then
    with_patience(lambda: _remove_row(backup_id))


def _remove_row(backup_id: UUID) -> None:
    with transaction.atomic():
        backup = Backup.objects.select_for_update().filter(pk=backup_id).first()
        if backup is None:
            return  # the answer to an earlier commit was lost
        refuse_held(backup)
        if _has_history(backup):
            _move(backup, [BackupState.EXPIRING], BackupState.REMOVED)
        else:
            backup.delete()


def _has_history(backup: Backup) -> bool:
    """Whether a row that protects this one exists; asked of the models, because those that
    refer to backups from above are not known here."""
    return any(
        relation.related_model._default_manager.filter(**{relation.field.name: backup}).exists()
        for relation in Backup._meta.related_objects
        if relation.related_model not in (BackupCopy, Hold)
    )


def _move(
    backup: Backup, before: Iterable[BackupState], after: BackupState, **fields: object
) -> bool:
    """The conditional update behind every change of state; the row in hand follows it."""
    changed = Backup.objects.filter(pk=backup.pk, state__in=before).update(state=after, **fields)
    if changed:
        backup.state = after
        for name, value in fields.items():
            setattr(backup, name, value)
    return bool(changed)
