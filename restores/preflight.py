"""Checks before a restore: of the backup, its key, and the target.

The backup is checked by the engine's `check_backup`, the target by its kind
(`Engine.check_restore`). Nothing is written anywhere. Storage and server each get a few seconds; a
late answer fails its check and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.utils import timezone

from backups.catalog_location import location_of_catalog
from backups.engine_factory import keyring_for, open_repository, server_engine
from backups.models import Backup, Repository, Server
from backups.timeout import run_with_timeout
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.checks import Check, Level, as_warning, failed
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.retained import Session
from covetbackup.core.errors import (
    Conflict,
    CovetError,
    DatabaseUnavailable,
    StorageUnavailable,
    as_sentence,
)
from covetbackup.core.operations.check_backup import BackupChecks, check_backup
from covetbackup.core.repository.layout import Label
from restores.models import Restore
from restores.selection_options import inventory_of
from restores.target_server import refuse_catalog
from restores.targets import pending_names, source_repository, validate

STORAGE_SECONDS = 10.0
SERVER_SECONDS = 8.0
_OWN_QUEUE = "jobs"
"""Servers of this queue are reached from the dashboard's own machines."""


def preflight(restore: Restore) -> list[Check]:
    """Return all checks of `restore`, in the order in which it would meet them.

    Each error of the engine becomes a check that failed.
    """
    try:
        validate(restore)
    except CovetError as error:
        return [failed("Options", error)]
    known = _check_backup(restore)
    return [
        _verified(restore.backup),
        *known.checks,
        *_waiting(restore),
        *_check_target(restore, known),
    ]


def sessions(restore: Restore) -> list[Session]:
    """Return the sessions in the database that `restore` replaces.

    There are none if the server cannot be asked, which the checks report.
    """
    server, name = restore.target_server, restore.request.database
    late = DatabaseUnavailable(f"{server} did not answer within {SERVER_SECONDS:.0f} s")
    try:
        return run_with_timeout(SERVER_SECONDS, partial(_sessions, server, name), late=late)
    except CovetError:
        return []


def _sessions(server: Server, name: str) -> list[Session]:
    return server_engine(server).replacement().sessions(name)


def _verified(backup: Backup) -> Check:
    if backup.verify_problem:
        fix = "See the backup's page. A restore stops at the first damage; nothing remains."
        return Check(Level.WARNING, "Verified", as_sentence(backup.verify_problem), fix)
    if backup.verified_at is None:
        fix = "Verify it first. The restore also checks every byte."
        return Check(Level.WARNING, "Verified", "This backup was never verified.", fix)
    day = timezone.localtime(backup.verified_at).strftime("%-d %b %Y %H:%M")
    return Check(Level.PASS, "Verified", f"At level {backup.verified_level} on {day}.")


def _waiting(restore: Restore) -> Iterator[Check]:
    if restore.request.database in pending_names(restore.target_server):
        detail = f"Another restore to {restore.request.database} is waiting or running."
        yield Check(Level.FAIL, "Name", detail, "Use another name, or wait until it has finished.")


def _check_backup(restore: Restore) -> BackupChecks:
    # Read here: the check itself happens in a thread that must leave the catalog alone.
    try:
        keyring: Keyring | CovetError = keyring_for(restore.backup.database.server.team)
    except CovetError as error:
        keyring = error
    repository = source_repository(restore)
    late = StorageUnavailable(
        f"{repository} did not answer within {STORAGE_SECONDS:.0f} s",
        "run the checks again; is the storage reachable from here?",
    )
    try:
        label = Label.parse(restore.backup.label)
        look = partial(_open_and_check, repository, label, restore.request, keyring)
        return run_with_timeout(STORAGE_SECONDS, look, late=late)
    except CovetError as error:
        return BackupChecks((failed("Repository", error),))


def _open_and_check(
    row: Repository, label: Label, request: RestoreRequest, keyring: Keyring | CovetError
) -> BackupChecks:
    return check_backup(open_repository(row), label, request, keyring=keyring)


def _check_target(restore: Restore, known: BackupChecks) -> list[Check]:
    backup, server = restore.backup, restore.target_server
    planned = known.planned_restore(
        restore.request, inventory_of(backup), backup.plain_bytes, backup.method
    )
    late = DatabaseUnavailable(
        f"{server} did not answer within {SERVER_SECONDS:.0f} s",
        "run the checks again; is the server reachable from here?",
    )
    catalog = location_of_catalog() if restore.changes_existing else ""
    try:
        look = partial(_checks_of_target, server, planned, catalog)
        checks = run_with_timeout(SERVER_SECONDS, look, late=late)
    except CovetError as error:
        checks = [failed("Target server", error)]
    if server.queue == _OWN_QUEUE:
        return checks
    # Its workers may be the only ones that can reach it, and have other programs and folders.
    reason = f"Checked from here; the workers of queue {server.queue} check again."
    return [as_warning(check, reason) for check in checks]


def _checks_of_target(server: Server, planned: PlannedRestore, catalog: str) -> list[Check]:
    if catalog:
        try:
            refuse_catalog(server, planned.request.database, catalog)
        except Conflict as error:
            return [failed("Name", error)]
    return server_engine(server).check_restore(planned)
