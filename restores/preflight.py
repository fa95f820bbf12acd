"""What can be known before a restore begins: about the backup, its key, and the place it goes to.

The target is checked by its engine (`Engine.check_restore`). Nothing is written anywhere. Storage
and server each get a few seconds; what is late fails its check and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from django.utils import timezone

from backups.catalog_location import place_of_catalog
from backups.engine_factory import keyring_for, open_repository, restore_engine
from backups.models import Backup, Repository
from backups.timeout import within
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.checks import Check, Level, failed, softened
from covetbackup.core.databases.registry import member_check
from covetbackup.core.databases.restore_target import CheckInput
from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import (
    Conflict,
    CovetError,
    DatabaseUnavailable,
    StorageUnavailable,
    as_sentence,
)
from covetbackup.core.operations.verify import Level as VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest, Trust
from covetbackup.core.repository.open_backup import OpenedBackup, open_backup, signer_of
from covetbackup.core.repository.repository import Repository as EngineRepository
from restores.plan import Plan, names_on_their_way
from restores.selection_options import inventory_of
from restores.selection_preview import look_at, privileged_of, read_contents
from restores.target_server import features_of, refuse_catalog

STORAGE_SECONDS = 10.0
SERVER_SECONDS = 8.0
_SHOWN = 5
_OWN_QUEUE = "jobs"
"""Servers of this queue are reached from the dashboard's own machines."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at the repository found: checks, the manifest if a key opened it, and what of it
    is to be loaded, and how much that is, if not all."""

    checks: tuple[Check, ...]
    manifest: Manifest | None = None
    part_bytes: int | None = None
    chosen: ResolvedSelection | None = None
    privileged: tuple[str, ...] = ()


def preflight(plan: Plan) -> list[Check]:
    """All checks of `plan`, in the order in which a restore would meet them. Raises nothing of
    the engine's errors: each becomes a check."""
    try:
        plan.refuse_misfit()
    except CovetError as error:
        return [failed("Options", error)]
    seen = _look_at_repository(plan)
    return [_verified(plan.backup), *seen.checks, *_waiting(plan), *_target(plan, seen)]


def sessions(plan: Plan) -> list[Session]:
    """Who is connected to what `plan` replaces; nobody if the server cannot be asked, of which the
    checks tell."""
    late = DatabaseUnavailable(f"{plan.server} did not answer within {SERVER_SECONDS:.0f} s")
    try:
        return within(SERVER_SECONDS, partial(_sessions, plan), late=late)
    except CovetError:
        return []


def _sessions(plan: Plan) -> list[Session]:
    return restore_engine(plan.server).replacement().sessions(plan.name)


def _verified(backup: Backup) -> Check:
    if backup.verify_problem:
        fix = "See the backup's page. A restore stops at the first damage; nothing remains."
        return Check(Level.WARNING, "Verified", as_sentence(backup.verify_problem), fix)
    if backup.verified_at is None:
        fix = "Verify it first. The restore also checks every byte."
        return Check(Level.WARNING, "Verified", "This backup was never verified.", fix)
    day = timezone.localtime(backup.verified_at).strftime("%-d %b %Y %H:%M")
    return Check(Level.PASS, "Verified", f"At level {backup.verified_level} on {day}.")


def _waiting(plan: Plan) -> Iterator[Check]:
    if plan.name in names_on_their_way(plan.server):
        detail = f"Another restore to {plan.name} is waiting or running."
        yield Check(Level.FAIL, "Name", detail, "Use another name, or wait until it has finished.")


def _look_at_repository(plan: Plan) -> _Seen:
    # Read here: the look itself happens in a thread that must leave the catalog alone.
    try:
        keyring: Keyring | CovetError = keyring_for(plan.backup.database.server.team)
    except CovetError as error:
        keyring = error
    late = StorageUnavailable(
        f"{plan.repository} did not answer within {STORAGE_SECONDS:.0f} s",
        "run the checks again; is the storage reachable from here?",
    )
    look = partial(_looked, plan, plan.repository, keyring)
    try:
        return within(STORAGE_SECONDS, look, late=late)
    except CovetError as error:
        return _Seen((failed("Repository", error),))


def _looked(plan: Plan, row: Repository, keyring: Keyring | CovetError) -> _Seen:
    selection = plan.selection
    repository, label = open_repository(row), Label.parse(plan.backup.label)
    present = _present(repository, label)
    if isinstance(keyring, CovetError):
        return _Seen((present, failed("Key", keyring)))
    try:
        opened = open_backup(repository, label, keyring)
    except CovetError as error:
        return _Seen((present, failed("Key", error)))
    detail = f"The team's key {opened.key_id} decrypts the backup."
    if opened.manifest.suite is None:
        detail = "Not needed: the backup is not encrypted."
    key = Check(Level.PASS, "Key", detail)
    checks = (present, key, _signature(opened))
    has_superusers = features_of(plan.server).has_superusers and plan.has_structure
    if selection is None and not has_superusers:
        return _Seen(checks, opened.manifest)
    contents = read_contents(repository, opened)
    named = privileged_of(contents, selection) if has_superusers else ()
    if selection is None:
        return _Seen(checks, opened.manifest, privileged=named)
    whole = opened.manifest.opened.inventory
    brought = look_at(contents, selection=selection, whole=whole, adds=plan.adds)
    checks = (*checks, *brought.checks)
    return _Seen(checks, opened.manifest, brought.plain_bytes, brought.chosen, named)


def _signature(opened: OpenedBackup) -> Check:
    try:
        opened.require_trust()
    except CovetError as error:
        return failed("Signature", error)
    signer = signer_of(opened.manifest)
    by = f" by {signer.signer_id}" if signer and opened.trust is Trust.SIGNED else ""
    return Check(Level.PASS, "Signature", f"The backup is {opened.trust}{by}.")


def _present(repository: EngineRepository, label: Label) -> Check:
    result = verify_backup(
        repository,
        label,
        VerifyLevel.EXISTS,
        keyring=Keyring.of([]),
        check=member_check,
        progress=Silent(),
    )
    if result.ok:
        count = len(repository.manifest(label).objects)
        detail = f"All {count} objects are in {repository.name} with the expected sizes."
        return Check(Level.PASS, "Objects", detail)
    problems = [finding.error.message for finding in result.findings[:_SHOWN]]
    more = len(result.findings) - len(problems)
    detail = "; ".join(problems) + (f"; and {more} more" if more else "")
    fix = "Restore from another copy or another backup."
    return Check(Level.FAIL, "Objects", as_sentence(detail), fix)


def _target(plan: Plan, seen: _Seen) -> list[Check]:
    wanted = _wanted(plan, seen)
    late = DatabaseUnavailable(
        f"{plan.server} did not answer within {SERVER_SECONDS:.0f} s",
        "run the checks again; is the server reachable from here?",
    )
    try:
        look = partial(_checks_of_target, plan, wanted, place_of_catalog())
        checks = within(SERVER_SECONDS, look, late=late)
    except CovetError as error:
        checks = [failed("Target server", error)]
    if plan.server.queue == _OWN_QUEUE:
        return checks
    # Its workers may be the only ones that can reach it, and have other programs and folders.
    reason = f"Checked from here; the workers of queue {plan.server.queue} check again."
    return [softened(check, reason) for check in checks]


def _checks_of_target(plan: Plan, wanted: CheckInput, catalog: str) -> list[Check]:
    if plan.changes_what_is_there:
        try:
            refuse_catalog(plan.server, wanted.name, catalog)
        except Conflict as error:
            return [failed("Name", error)]
    return restore_engine(plan.server).check_restore(wanted)


def _wanted(plan: Plan, seen: _Seen) -> CheckInput:
    manifest = seen.manifest
    if manifest is not None and manifest.details is not None:
        expected, size = manifest.details.inventory, manifest.details.plain_size
    else:
        expected, size = inventory_of(plan.backup), plan.backup.plain_bytes
    if seen.part_bytes is not None:
        # What is known of the disk is of all tables.
        settings = {**(expected.settings or {}), "table_bytes": "0"}
        expected, size = replace(expected, settings=settings), seen.part_bytes
    return CheckInput(
        plan.name,
        plan.owner,
        expected,
        size,
        method=manifest.method if manifest else plan.backup.method,
        jobs=plan.jobs,
        creates_roles=plan.creates_roles,
        switches=plan.switches,
        replaces=plan.replaces,
        chosen=seen.chosen,
        adds=plan.adds,
        with_structure=plan.has_structure,
        privileged=seen.privileged,
    )
