"""Registration of servers and repositories, with their secrets encrypted; repository tests.

The storage is contacted before any row is written: no transaction waits for a network.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from backups import engine_factory, secrets
from backups.discovery import is_included
from backups.models import Database, Repository, Server
from backups.repository_check import CheckStep, check_storage
from backups.timeout import run_with_timeout
from covetbackup.access.models import Team
from covetbackup.core.errors import (
    BadSetting,
    CovetError,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
)
from covetbackup.core.manager import utc_now
from covetbackup.core.repository.marker import initialise, undo_initialise
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.registry import S3Credentials, open_storage
from covetbackup.core.storage.retry import Retry

PATIENCE_SECONDS = 15.0
"""How long a page waits for a storage."""

_IMPATIENT = Retry(attempts=2, budget_seconds=8, cap_seconds=1)


def save_server(server: Server, password: str | None) -> Server:
    """Save `server`; a new `password` is encrypted, None keeps the stored one.

    Its databases are included by its patterns as they are now, unless a user chose. Raises
    `SecretsLocked`.
    """
    if password is not None:
        secrets.require_open()
    with transaction.atomic():
        server.save()
        if password is not None:
            secrets.encrypt_field(server, "password", password)
        databases = list(server.databases.only("name", "inclusion"))
        for database in databases:
            database.is_included = is_included(database, server)
        Database.objects.bulk_update(databases, ["is_included"], batch_size=200)
    return server


def add_repository(row: Repository, credentials: S3Credentials | None) -> Repository:
    """Create a repository at the unsaved `row`'s URL, or open the existing one, and save the row.

    It is tested first. Raises `Conflict` if other files are there, `BadSetting`, `SecretsLocked`,
    `StorageError`; then no row is saved, and a location that was empty is empty.
    """
    secrets.require_open()
    row.kind = engine_factory.check_storage_url(row.url, has_credentials=credentials is not None)
    storage = open_storage(row.url, credentials, retry=_IMPATIENT)
    row.engine_id = run_with_timeout(
        PATIENCE_SECONDS, lambda: _opened(storage, row.name), late=_late(row)
    )
    engine_factory.refuse_shared(row)
    row.checked_at = timezone.now()
    with transaction.atomic():
        if row.is_default:
            _end_default(row)
        row.save(force_insert=True)
        text = json.dumps(asdict(credentials)) if credentials else ""
        secrets.encrypt_field(row, "credentials", text)
    return row


def make_default(row: Repository) -> None:
    """Make `row` the repository of the team's new backups, unless a backup names another."""
    with transaction.atomic():
        _end_default(row)
        Repository.objects.filter(pk=row.pk).update(is_default=True)


def _end_default(row: Repository) -> None:
    # One at a time: of two who do so at once the second would break the constraint.
    Team.objects.select_for_update().get(pk=row.team_id)
    row.team.repositories.filter(is_default=True).update(is_default=False)


def check_repository(row: Repository) -> list[CheckStep]:
    """Open the repository, then write, read, list and delete a small object; return the steps.

    The row records the problem. If the test could not begin, that is the only step.
    """
    try:
        storage = engine_factory.storage_of(row, retry=_IMPATIENT)
        expected = row.engine_id
        steps = run_with_timeout(
            PATIENCE_SECONDS, lambda: _steps(storage, row.name, expected), late=_late(row)
        )
    except CovetError as error:
        steps = [CheckStep("Open the repository", 0, error.message, error.hint, error.details)]
    row.problem = next((step.problem for step in steps if step.problem), "")
    row.checked_at = timezone.now()
    row.save(update_fields=["problem", "checked_at"])
    return steps


def _steps(storage: Storage, name: str, expected: str) -> list[CheckStep]:
    opened = BackupRepository.open(storage, name=name)
    if expected and opened.id != expected:
        raise BadSetting(
            f"the location of {name} holds another repository, {opened.id}",
            "was a different disk mounted there?",
        )
    return check_storage(storage)


def _opened(storage: Storage, name: str) -> str:
    """The id of the repository in `storage`, which is made one if there is nothing yet, and can
    do all that backups need of it."""
    try:
        storage.stat(MARKER)
    except ObjectNotFound:
        return _made(storage, name)
    opened = BackupRepository.open(storage, name=name)
    _require_all(storage, name)
    return opened.id


def _made(storage: Storage, name: str) -> str:
    identity = initialise(storage, utc_now()).repository_id
    try:
        _require_all(storage, name)
    except CovetError as error:
        if left := undo_initialise(storage):
            hint = f"{error.hint}; {left.message}: delete {MARKER} there before the next try"
            raise type(error)(error.message, hint, error.details) from error
        raise
    return identity


def _require_all(storage: Storage, name: str) -> None:
    failed = next((step for step in check_storage(storage) if step.problem), None)
    if failed is not None:
        raise StorageError(
            f"{name} cannot hold backups: {failed.title.lower()}: {failed.problem}",
            failed.hint,
            failed.details,
        )


def _late(row: Repository) -> CovetError:
    return StorageUnavailable(
        f"{row.name} did not answer within {PATIENCE_SECONDS:.0f} s",
        "is the endpoint reachable from here, or the network disk mounted?",
    )
