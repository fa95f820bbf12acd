"""Deletion of backups, and cleanup of what backups that never finished left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from covetbackup.core.errors import Conflict, ObjectNotFound, StorageError
from covetbackup.core.repository import layout
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.repository import BackupRepository

_LATER_THAN_ALL = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """The folders without a manifest and the unfinished uploads that a cleanup removed.

    `failures` name what it could not remove, with the reason.
    """

    labels: tuple[Label, ...]
    uploads: tuple[str, ...]
    failures: dict[str, StorageError] = field(default_factory=dict)


def delete_backup(repository: BackupRepository, label: Label) -> None:
    """Remove the backup `label` for good.

    It is unpublished first, so that no half of it can be taken for a backup; cut off half-way, it
    is finished by running it again. Raises `ObjectNotFound` if there is nothing of it,
    `StorageError`.
    """
    if not any(True for _ in repository.objects(label)):
        mirror = repository.storage.list(layout.MIRROR + label.backup_id.hex())
        if not any(True for _ in mirror):
            raise ObjectNotFound(f"{repository.name} has no backup {label}")
    repository.remove(label)


def discard_backup(repository: BackupRepository, label: Label) -> None:
    """Remove the objects and unfinished uploads, however young, of a backup that died.

    The caller knows that no process is writing it. Raises `Conflict` if it was published after all,
    `StorageError`.
    """
    if any(found.name == label.manifest for found in repository.objects(label)):
        raise Conflict(f"backup {label} in {repository.name} was published: it did not die")
    repository.remove(label)
    mirrored = layout.MIRROR + label.backup_id.hex()
    for prefix in (label.folder, mirrored):
        repository.storage.cleanup(_LATER_THAN_ALL, prefix)


def cleanup_repository(repository: BackupRepository, before: datetime) -> CleanupResult:
    """Remove unpublished folders and uploads that were last written before `before` (aware).

    `before` must lie further back than the longest backup takes: an unfinished backup looks just
    like one that died. Damaged but published backups are never touched. Raises `StorageError` only
    if the repository cannot be listed.
    """
    labels: list[Label] = []
    uploads: tuple[str, ...] = ()
    failures: dict[str, StorageError] = {}
    for label in repository.unpublished(before):
        try:
            repository.remove(label)
        except StorageError as error:
            failures[str(label)] = error
        else:
            labels.append(label)
    try:
        uploads = tuple(repository.storage.cleanup(before))
    except StorageError as error:
        failures["unfinished uploads"] = error
    return CleanupResult(tuple(labels), uploads, failures)
