"""Cleanup after a backup whose runner died: it is recorded if it is whole, else removed."""

from __future__ import annotations

from datetime import timedelta

from backups import engine_factory
from backups.models import Backup
from backups.state import record_backup, sha256_of
from covetbackup.core.errors import CovetError, ObjectNotFound
from covetbackup.core.operations.backup import BackupResult
from covetbackup.core.operations.delete import discard_backup
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.retry import Retry

PATIENCE = Retry(attempts=3, budget_seconds=20)
"""The clean-up of one backup must not hold up other jobs."""

GIVE_UP_AFTER = timedelta(days=1)
"""How long the end of a job waits for a repository that cannot be reached; the cleanup of that
repository gets what is left."""


def has_leftovers(backup: Backup) -> bool:
    """Return whether a run of `backup` began to store objects and has not been cleaned up."""
    return bool(backup.label) and not backup.copies.exclude(stored_at=None).exists()


def clean_up(backup: Backup) -> bool:
    """Clean up a run of `backup` whose process is dead; return whether it had been published.

    A published backup is recorded as if the run had succeeded. Else its objects and uploads are
    removed and its label is free. Raises the first `CovetError` that kept a repository from being
    cleaned up; the label stays for another attempt.
    """
    label = Label.parse(backup.label)
    repositories, failures = reachable(backup, retry=PATIENCE)
    published: dict[str, BackupRepository] = {}
    for name, repository in repositories.items():
        if is_published(repository, label):
            published[name] = repository
            continue
        try:
            discard_backup(repository, label)
        except CovetError as error:
            failures[name] = error
    if published:
        _record(backup, label, published, failures, missing=repositories.keys() - published.keys())
        return True
    for error in failures.values():
        raise error
    backup.label = ""
    backup.save(update_fields=["label"])
    return False


def reachable(
    backup: Backup, *, retry: Retry | None = None
) -> tuple[dict[str, BackupRepository], dict[str, CovetError]]:
    """Return the repositories of `backup` that open, by name, and the errors of the others."""
    opened: dict[str, BackupRepository] = {}
    failures: dict[str, CovetError] = {}
    for copy in backup.copies.select_related("repository").order_by("pk"):
        row = copy.repository
        try:
            opened[row.name] = engine_factory.open_repository(row, retry=retry)
        except CovetError as error:
            failures[row.name] = error
    return opened, failures


def is_published(repository: BackupRepository, label: Label) -> bool:
    """Return whether the manifest of `label` is in the repository."""
    try:
        repository.storage.stat(label.manifest)
    except ObjectNotFound:
        return False
    return True


def _record(
    backup: Backup,
    label: Label,
    published: dict[str, BackupRepository],
    failures: dict[str, CovetError],
    *,
    missing: set[str],
) -> None:
    repository = next(iter(published.values()))
    manifest = opened_manifest(backup, repository, label)
    unfinished = ObjectNotFound("the run ended before this copy was published")
    failures = {**failures, **{name: unfinished for name in missing}}
    result = BackupResult(manifest, tuple(published), failures)
    sha256 = sha256_of(repository.manifest_bytes(label))
    record_backup(backup, result, manifest_sha256=sha256)


def opened_manifest(backup: Backup, repository: BackupRepository, label: Label) -> Manifest:
    """Return the manifest with its details decrypted by the team's keys."""
    keyring = engine_factory.keyring_for(backup.database.server.team)
    return open_backup(repository, label, keyring).manifest
