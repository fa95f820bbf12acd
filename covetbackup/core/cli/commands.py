"""What each command does: opens what it needs, makes one call, and says what came of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from covetbackup.core.cli import exits, views
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.scratch import scratch_target
from covetbackup.core.cli.selection_args import selection_of
from covetbackup.core.cli.terminal import count_text, size_text
from covetbackup.core.crypto.keyfile import read_passphrase
from covetbackup.core.crypto.keyring import Keyring, new_keys, write_new_keys
from covetbackup.core.databases.registry import is_address, sweep_restores
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting, CovetError
from covetbackup.core.manager import (
    BackupManager,
    RestoreManager,
    create_repository,
    default_workers,
    open_repository,
    utc_now,
)
from covetbackup.core.operations.restore import RestoreRequest, RestoreResult
from covetbackup.core.operations.rotate import Rotation
from covetbackup.core.operations.verify import Level
from covetbackup.core.repository.repository import Repository
from covetbackup.core.storage.registry import s3_credentials_from_file, shortcomings
from covetbackup.core.stream.secret import Secret

_LONGEST_HOURS = 100 * 366 * 24


def keygen(given: Namespace) -> Report:
    write_new_keys(new_keys(), given.working, given.recovery)
    return Report(
        {"working": str(given.working), "recovery": str(given.recovery)},
        [
            f"working keys: {given.working} (stays here: writes, signs and reads backups)",
            f"recovery keys: {given.recovery} (move it to a safe place away from this machine)",
            "whoever loses both has lost every backup made with them",
        ],
    )


def init(given: Namespace) -> Report:
    made = create_repository(given.repo, _credentials(given.s3_credentials))
    notes = shortcomings(made.storage)
    return Report(
        {"repository": made.id, "warnings": notes},
        [*(f"warning: {note}" for note in notes), f"{given.repo} is now repository {made.id}"],
    )


def backup(given: Namespace) -> Report:
    repositories, unreachable = _open_all(given)
    keyring = _keyring(given, repositories[0])
    manager = BackupManager(repositories[0], keyring, progress=given.progress)
    result = manager.create_backup(
        given.source,
        password=_password(given),
        name=given.name,
        method=given.method,
        codec=given.codec,
        cipher=given.cipher,
        also=repositories[1:],
        workers=given.workers,
        streams=given.streams,
        volume_size=given.volume_size,
        min_slots=given.min_keys,
    )
    failures = {
        name: str(error) for name, error in (*unreachable.items(), *result.failures.items())
    }
    return Report(
        {
            **views.manifest_json(result.manifest),
            "stored_in": result.stored_in,
            "failures": failures,
        },
        [
            *views.summary(result.manifest),
            *(f"not stored in {name}: {error}" for name, error in failures.items()),
        ],
        exits.STORAGE if failures else exits.OK,
    )


def list_backups(given: Namespace) -> Report:
    listed = BackupManager(_open(given.repo, given)).list_backups(given.name)
    return Report({"backups": [views.entry_json(entry) for entry in listed]}, views.table(listed))


def show(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    manifest = BackupManager(repository, _keyring(given, repository)).show_backup(given.label)
    return Report(views.manifest_json(manifest), views.details(manifest))


def verify(given: Namespace) -> Report:
    if given.level is Level.RESTORE:
        return _drill(given)
    repository = _open(given.repo, given)
    manager = BackupManager(repository, _keyring(given, repository), progress=given.progress)
    result = manager.verify_backup(given.label, given.level)
    faults = [
        {"where": finding.where, "code": finding.error.code, "message": str(finding.error)}
        for finding in result.findings
    ]
    verdict = "no fault found" if result.ok else count_text(len(faults), "fault")
    return Report(
        {
            "label": str(result.label),
            "level": result.level.value,
            "ok": result.ok,
            "findings": faults,
            "warnings": result.warnings,
        },
        [
            *(f"{fault['where']}: {fault['message']}" for fault in faults),
            *(f"warning: {warning}" for warning in result.warnings),
            f"{result.label}: {verdict} at level {result.level}",
        ],
        exits.OK if result.ok else exits.DAMAGED,
    )


def _drill(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    kind = repository.manifest(repository.find(given.label)).kind
    manager = RestoreManager(repository, _keyring(given, repository), progress=given.progress)
    with scratch_target(kind, given.scratch) as target:
        request = RestoreRequest(
            target=target, workers=default_workers(), accept_untrusted=given.accept_untrusted
        )
        result = manager.test_restore(given.label, request, password=_password(given))
    if not result.left:
        return _restored(result, f"{result.manifest.label}: restored, compared and removed again")
    report = _restored(result, f"{result.manifest.label}: restored and compared; {result.left}")
    return replace(report, status=exits.DATABASE)


def cat(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    manager = RestoreManager(repository, _keyring(given, repository), progress=given.progress)
    size = 0
    with manager.open_member(given.label, given.member) as chunks:
        for chunk in chunks:
            size += len(chunk)
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return Report({"bytes": size}, [])


def export(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    manager = RestoreManager(repository, _keyring(given, repository), progress=given.progress)
    manager.export(given.label, given.to)
    return Report({"folder": str(given.to)}, [f"{given.to} is for pg_restore --jobs=N -d NAME"])


def list_tables(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    manager = RestoreManager(repository, _keyring(given, repository), progress=given.progress)
    listing = manager.contents(given.label)
    sizes = listing.table_bytes()
    selection = _selection(given)
    chosen = listing.chosen(selection) if selection else None
    shown = {name: size for name, size in sizes.items() if not chosen or name in chosen.tables}
    lines = chosen.lines if chosen else []
    return Report(
        {
            "tables": [{"name": name, "plain_bytes": size} for name, size in shown.items()],
            "remarks": lines,
        },
        [*(f"{size_text(size):>10}  {name}" for name, size in shown.items()), *lines],
    )


def _selection(given: Namespace, *, rows_only: bool = False) -> Selection | None:
    return selection_of(
        given.table,
        given.schema,
        with_data=not given.schema_only,
        with_structure=not rows_only,
        renames=given.rename_schema,
    )


def restore(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    manager = RestoreManager(repository, _keyring(given, repository), progress=given.progress)
    target = given.name or given.replace or given.into
    if given.data_only and not given.into:
        raise BadSetting("--data-only needs --into", "name the database whose tables get the rows")
    request = RestoreRequest(
        target=target,
        jobs=given.jobs,
        workers=default_workers(),
        accept_untrusted=given.accept_untrusted,
        selection=_selection(given, rows_only=given.data_only),
        options=_options(given),
        replace=bool(given.replace),
        adds=bool(given.into),
    )
    result = manager.restore_backup(given.label, request, password=_password(given))
    retained = f"; the database it replaced is {result.retained_as}" if result.retained_as else ""
    where = f"into {target}" if given.into else f"as {target}"
    return _restored(result, f"{result.manifest.label}: restored {where}{retained}")


def _options(given: Namespace) -> dict[str, object]:
    """What was said, and nothing else: an engine may know neither."""
    said = {
        "owner": given.owner,
        "globals": given.create_roles,
        "skip_failing": given.skip_failing,
        "enable_events": given.enable_events,
        "leave_out_scheduler": given.leave_out_scheduler,
    }
    return {name: value for name, value in said.items() if value}


def _restored(result: RestoreResult, verdict: str) -> Report:
    apart = ", apart from what the warnings say" if result.problems else ""
    return Report(
        {
            "label": str(result.manifest.label),
            "inventory": result.inventory.to_json(),
            "warnings": result.problems,
            "retained_as": result.retained_as,
            "left": result.left,
        },
        [
            *(f"warning: {problem}" for problem in result.problems),
            verdict,
            f"{views.contents_text(result.inventory)}, as the manifest says{apart}",
        ],
    )


def copy(given: Namespace) -> Report:
    target = open_repository(given.to, _credentials(given.to_s3_credentials))
    manager = BackupManager(_open(given.repo, given), progress=given.progress)
    manifest = manager.copy_backup(given.label, target)
    return Report(
        {"label": str(manifest.label), "to": given.to}, [f"{manifest.label} is now in {given.to}"]
    )


def delete(given: Namespace) -> Report:
    label = str(BackupManager(_open(given.repo, given)).delete_backup(given.label))
    return Report({"label": label}, [f"{label} is removed from {given.repo}"])


def rotate(given: Namespace) -> Report:
    repository = _open(given.repo, given)
    manager = BackupManager(repository, _keyring(given, repository), progress=given.progress)
    new = _ring(repository, given.new_key_file, given.new_passphrase_file)
    results = manager.rotate_keys(new, min_slots=given.min_keys)
    states = [result.state for result in results]
    failed, remaining = states.count(Rotation.FAILED), states.count(Rotation.OLD_KEYS_REMAIN)
    hints = dict.fromkeys(result.error.hint for result in results if result.error)
    rows: list[dict[str, Any]] = [
        {
            "label": str(result.label),
            "state": result.state.value,
            "error": str(result.error) if result.error else "",
        }
        for result in results
    ]
    return Report(
        {"backups": rows, "failed": failed, "old_keys_remain": remaining},
        [
            *(f"{row['state']:8} {row['label']} {row['error']}".rstrip() for row in rows),
            *(f"hint: {hint}" for hint in hints if hint),
        ],
        exits.FAILED if failed else exits.STORAGE if remaining else exits.OK,
    )


def cleanup(given: Namespace) -> Report:
    if not 0 < given.older_than <= _LONGEST_HOURS:
        raise BadSetting(
            f"--older-than {given.older_than} is not a time after which a backup is dead",
            f"give hours, more than the longest backup takes and up to {_LONGEST_HOURS}",
        )
    if is_address(given.place):
        return _cleanup_server(given)
    swept = BackupManager(_open(given.place, given)).sweep(timedelta(hours=given.older_than))
    labels = [str(label) for label in swept.labels]
    failures = {name: str(error) for name, error in swept.failures.items()}
    hints = dict.fromkeys(error.hint for error in swept.failures.values())
    return Report(
        {"labels": labels, "uploads": swept.uploads, "failures": failures},
        [
            *(f"removed unfinished backup {label}" for label in labels),
            *(f"removed unfinished upload {name}" for name in swept.uploads),
            *(f"not removed: {name}: {error}" for name, error in failures.items()),
            *(f"hint: {hint}" for hint in hints if hint),
            f"removed {count_text(len(labels), 'unfinished backup')} and "
            f"{count_text(len(swept.uploads), 'unfinished upload')}",
        ],
        exits.STORAGE if failures else exits.OK,
    )


def _cleanup_server(given: Namespace) -> Report:
    before = utc_now() - timedelta(hours=given.older_than)
    swept = sweep_restores(given.place, before, _password(given))
    return Report(
        {"restores": swept},
        [
            *(f"removed unfinished restore {name}" for name in swept),
            f"removed {count_text(len(swept), 'unfinished restore')}",
        ],
    )


def _open(url: str, given: Namespace) -> Repository:
    return open_repository(url, _credentials(given.s3_credentials))


def _open_all(given: Namespace) -> tuple[list[Repository], dict[str, CovetError]]:
    """The repositories that can be opened, and why the others cannot: one that is away must not
    keep the others from getting the backup. Raises the first reason if all are away."""
    opened: list[Repository] = []
    failures: dict[str, CovetError] = {}
    for url in given.repo:
        try:
            opened.append(_open(url, given))
        except CovetError as error:
            failures[url] = error
    if not opened:
        raise next(iter(failures.values()))
    return opened, failures


def _credentials(path: Path | None) -> Any:
    return s3_credentials_from_file(path) if path else None


def _keyring(given: Namespace, repository: Repository) -> Keyring:
    return _ring(repository, given.key_file, given.passphrase_file)


def _ring(repository: Repository, keys: list[Path], passphrases: list[Path]) -> Keyring:
    # One salt for the repository: a passphrase is then one key, derived once, for all its backups.
    salt = bytes.fromhex(repository.id)
    return Keyring.load(keys, passphrases, passphrase_salt=salt)


def _password(given: Namespace) -> Secret | None:
    if given.password_file is None:
        return None
    text = read_passphrase(given.password_file)
    return Secret(text.removesuffix("\n").removesuffix("\r"))
