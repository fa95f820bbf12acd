"""Checks of a backup before it is restored: objects, key, signature, selection.

Writes nothing, and reads the manifest once. The target is checked by its engine
(`Engine.check_restore`), which gets what was found here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.checks import Check, Level, counted, failed, join_names
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.registry import member_check, restore_features
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.selection import Listing, PrivilegedListing, ResolvedSelection
from covetbackup.core.errors import CovetError, IntegrityError, ObjectNotFound, as_sentence
from covetbackup.core.operations.contents import contents_of
from covetbackup.core.operations.verify import VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository import manifest_json
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest, Trust
from covetbackup.core.repository.open_backup import OpenedBackup, open_backup, signer_of
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.text import size_text

_SHOWN = 5
_NAMED = 40
_TITLE = "Selection"


@dataclass(frozen=True, slots=True)
class BackupChecks:
    """The findings about a backup for one restore.

    manifest    opened; None if no key opened it
    part_bytes  how many plain bytes of it are loaded, None for all
    resolved    what the selection comes to; None if all is restored or it cannot be told
    privileged  kind and name of what only a superuser may create
    """

    checks: tuple[Check, ...]
    manifest: Manifest | None = None
    part_bytes: int | None = None
    resolved: ResolvedSelection | None = None
    privileged: tuple[str, ...] = ()

    def planned_restore(
        self, request: RestoreRequest, expected: Inventory, plain_bytes: int | None, method: str
    ) -> PlannedRestore:
        """Return what an engine needs to check its target.

        The last three are what is known of the backup otherwise, for one that could not be opened.
        """
        if self.manifest is not None:
            method = self.manifest.method
            if self.manifest.details is not None:
                expected = self.manifest.details.inventory
                plain_bytes = self.manifest.details.plain_size
        if self.part_bytes is not None:
            # What is known of the disk is of all tables.
            settings = {**(expected.settings or {}), "table_bytes": "0"}
            expected, plain_bytes = replace(expected, settings=settings), self.part_bytes
        return PlannedRestore(
            request, expected, plain_bytes, method, self.resolved, self.privileged
        )


def check_backup(
    repository: BackupRepository,
    label: Label,
    request: RestoreRequest,
    *,
    keyring: Keyring | CovetError,
    accept_untrusted: bool = False,
) -> BackupChecks:
    """Check what of the backup `label` the restore `request` needs.

    `keyring` may be the reason why there is none. Damage is a check that failed. Raises
    `StorageError` for a storage that cannot be read.
    """
    try:
        data = repository.manifest_bytes(label)
    except (IntegrityError, ObjectNotFound) as error:
        return BackupChecks((_damaged([error.message], 0), failed("Key", error)))
    objects = _objects(repository, label, data)
    if isinstance(keyring, CovetError):
        return BackupChecks((objects, failed("Key", keyring)))
    try:
        opened = open_backup(repository, label, keyring, data=data)
    except CovetError as error:
        return BackupChecks((objects, failed("Key", error)))
    checks = (objects, _key(opened), _signature(opened, accept_untrusted))
    return _with_contents(repository, opened, request, checks)


def _objects(repository: BackupRepository, label: Label, data: bytes) -> Check:
    result = verify_backup(
        repository,
        label,
        VerifyLevel.EXISTS,
        keyring=Keyring.of([]),
        check=member_check,
        progress=Silent(),
        data=data,
    )
    if result.ok:
        count = len(manifest_json.decode(data, label).objects)
        detail = f"All {count} objects are in {repository.name} with the expected sizes."
        return Check(Level.PASS, "Objects", detail)
    problems = [finding.error.message for finding in result.findings[:_SHOWN]]
    return _damaged(problems, len(result.findings) - len(problems))


def _damaged(problems: list[str], more: int) -> Check:
    detail = "; ".join(problems) + (f"; and {more} more" if more else "")
    fix = "Restore from another copy or another backup."
    return Check(Level.FAIL, "Objects", as_sentence(detail), fix)


def _key(opened: OpenedBackup) -> Check:
    detail = f"The key {opened.key_id} decrypts the backup."
    if opened.manifest.suite is None:
        detail = "Not needed: the backup is not encrypted."
    return Check(Level.PASS, "Key", detail)


def _signature(opened: OpenedBackup, accept_untrusted: bool) -> Check:
    try:
        opened.require_trust()
    except CovetError as error:
        check = failed("Signature", error)
        return replace(check, level=Level.WARNING) if accept_untrusted else check
    signer = signer_of(opened.manifest)
    by = f" by {signer.signer_id}" if signer and opened.trust is Trust.SIGNED else ""
    return Check(Level.PASS, "Signature", f"The backup is {opened.trust}{by}.")


def _with_contents(
    repository: BackupRepository,
    opened: OpenedBackup,
    request: RestoreRequest,
    checks: tuple[Check, ...],
) -> BackupChecks:
    """Add what the table of contents tells, if the restore depends on it."""
    manifest, selection = opened.manifest, request.selection
    has_superusers = restore_features(manifest.kind).has_superusers and request.has_structure
    if selection is None and not has_superusers:
        return BackupChecks(checks, manifest)
    contents: Listing | CovetError
    try:
        contents = contents_of(repository, opened, Silent())
    except CovetError as error:
        contents = error
    privileged = _privileged(contents, request) if has_superusers else ()
    if selection is None:
        return BackupChecks(checks, manifest, privileged=privileged)
    try:
        if isinstance(contents, CovetError):
            raise contents
        resolved = contents.resolve(selection)
    except CovetError as error:
        fix = f"{as_sentence(error.hint)} Change the selection, or restore everything.".strip()
        check = Check(Level.FAIL, _TITLE, as_sentence(error.message), fix)
        return BackupChecks((*checks, check), manifest, privileged=privileged)
    sizes = contents.table_bytes() if resolved.with_data else {}
    size = sum(sizes.get(name, 0) for name in resolved.tables)
    checks = (
        *checks,
        _sum(resolved, manifest.opened.inventory, size),
        *_remarks(resolved, in_place=request.into_existing),
    )
    return BackupChecks(checks, manifest, size, resolved, privileged)


def _privileged(contents: Listing | CovetError, request: RestoreRequest) -> tuple[str, ...]:
    try:
        if isinstance(contents, PrivilegedListing):
            return contents.privileged(request.selection)
    except CovetError:
        pass  # of a selection that is not possible another check tells
    return ()


def _sum(resolved: ResolvedSelection, whole: Inventory, plain_bytes: int) -> Check:
    part = resolved.restrict(whole)
    count = f"{len(part.tables):,} of {counted(len(whole.tables), 'table')}"
    if not resolved.with_data:
        return Check(Level.PASS, _TITLE, f"The structure of {count}, without rows.")
    about = "" if all(table.exact for table in part.tables) else "about "
    rows = f"{about}{counted(part.row_count, 'row')}"
    return Check(Level.PASS, _TITLE, f"{count}: {rows}, {size_text(plain_bytes)} to be loaded.")


def _remarks(resolved: ResolvedSelection, *, in_place: bool) -> Iterator[Check]:
    """Dependencies that are restored as well, and what will be missing."""
    if resolved.dependencies:
        detail = f"Also restored as dependencies: {join_names(resolved.dependencies, _NAMED)}."
        yield Check(Level.PASS, "Dependencies", detail)
    tried = resolved.external_foreign_keys if in_place else ()
    if tried:
        detail = (
            "Those to existing tables are created if the rows allow it; from then on, these tables "
            f"are locked against writes until the restore has ended: {join_names(tried, _NAMED)}."
        )
        fix = "Restore at a quiet time. The job's log lists those created; add the others yourself."
        yield Check(Level.WARNING, "Foreign keys", detail, fix)
    left_out = [name for name in resolved.omitted_foreign_keys if name not in tried]
    if left_out:
        detail = f"Not restored, as the other table is left out: {join_names(left_out, _NAMED)}."
        yield Check(Level.WARNING, "Foreign keys", detail, "Select the other tables as well.")
    for warning in resolved.warnings:
        yield Check(Level.WARNING, "Undetectable dependencies", as_sentence(warning))
    for line in resolved.left_out:
        yield Check(Level.WARNING, "Left out", as_sentence(line))
