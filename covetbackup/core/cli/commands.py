"""One function for each command: it opens what it needs, makes one call and reports."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from covetbackup.core.cli import exits, views
from covetbackup.core.cli.checks import checks_report
from covetbackup.core.cli.report import Report, TextTable
from covetbackup.core.cli.selection_args import selection_of
from covetbackup.core.crypto.keyfile import read_passphrase
from covetbackup.core.crypto.keyring import Keyring, new_keys, write_new_keys
from covetbackup.core.databases.registry import cleanup_restores, is_address, kind_named
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting, CovetError
from covetbackup.core.manager import (
    BackupManager,
    RestoreManager,
    create_repository,
    open_repository,
    utc_now,
)
from covetbackup.core.operations.restore import RestoreResult
from covetbackup.core.operations.rotate import Rotation
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.registry import s3_credentials_from_file, shortcomings
from covetbackup.core.stream.secret import Secret
from covetbackup.core.text import count_text, size_text

_LONGEST_HOURS = 100 * 366 * 24


def keygen(args: Namespace) -> Report:
    """Make new keys and write them into two files."""
    write_new_keys(new_keys(), args.working, args.recovery)
    return Report(
        {"working": str(args.working), "recovery": str(args.recovery)},
        [
            f"working keys: {args.working} (stays here: writes, signs and reads backups)",
            f"recovery keys: {args.recovery} (move it to a safe place away from this machine)",
            "without both of them, every backup made with them is lost",
        ],
    )


def init(args: Namespace) -> Report:
    """Make an empty storage a repository."""
    made = create_repository(args.repo, _credentials(args.s3_credentials))
    notes = shortcomings(made.storage)
    return Report(
        {"repository": made.id, "warnings": notes},
        [*(f"warning: {note}" for note in notes), f"{args.repo} is now repository {made.id}"],
    )


def backup(args: Namespace) -> Report:
    """Back up a database into one or more repositories."""
    repositories, unreachable = _open_all(args)
    keyring = _keyring(args, repositories[0])
    manager = BackupManager(repositories[0], keyring, progress=args.progress)
    result = manager.create_backup(
        args.source,
        password=_password(args),
        name=args.name,
        method=args.method,
        codec=args.codec,
        cipher=args.cipher,
        also=repositories[1:],
        workers=args.workers,
        streams=args.streams,
        volume_size=args.volume_size,
        min_slots=args.min_keys,
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


def list_backups(args: Namespace) -> Report:
    """List the backups of a repository."""
    listed = BackupManager(_open(args.repo, args)).list_backups(args.name)
    return Report(
        {"backups": [views.entry_json(entry) for entry in listed]},
        [count_text(len(listed), "backup")],
        table=views.backup_table(listed),
    )


def show(args: Namespace) -> Report:
    """Show the manifest of a backup."""
    repository = _open(args.repo, args)
    manifest = BackupManager(repository, _keyring(args, repository)).show_backup(args.label)
    return Report(views.manifest_json(manifest), views.details(manifest))


def verify(args: Namespace) -> Report:
    """Verify a backup; the exit status tells whether it is sound."""
    if args.level is VerifyLevel.RESTORE:
        return _test_restore(args)
    repository = _open(args.repo, args)
    manager = BackupManager(repository, _keyring(args, repository), progress=args.progress)
    result = manager.verify_backup(args.label, args.level)
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


def _test_restore(args: Namespace) -> Report:
    repository = _open(args.repo, args)
    kind = repository.manifest(repository.find(args.label)).kind
    manager = RestoreManager(repository, _keyring(args, repository), progress=args.progress)
    with kind_named(kind).scratch_target(args.scratch) as target:
        result = manager.test_restore(
            args.label,
            target,
            password=_password(args),
            accept_untrusted=args.accept_untrusted,
        )
    if not result.left:
        return _restored(result, f"{result.manifest.label}: restored, compared and removed again")
    report = _restored(result, f"{result.manifest.label}: restored and compared; {result.left}")
    return replace(report, status=exits.DATABASE)


def cat(args: Namespace) -> Report:
    """Write the plain bytes of a member to standard output."""
    repository = _open(args.repo, args)
    manager = RestoreManager(repository, _keyring(args, repository), progress=args.progress)
    size = 0
    with manager.open_member(args.label, args.member) as chunks:
        for chunk in chunks:
            size += len(chunk)
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return Report({"bytes": size}, [])


def export(args: Namespace) -> Report:
    """Write a backup into a folder that the stock programs read."""
    repository = _open(args.repo, args)
    manager = RestoreManager(repository, _keyring(args, repository), progress=args.progress)
    manager.export(args.label, args.to)
    return Report({"folder": str(args.to)}, [f"{args.to} is for pg_restore --jobs=N -d NAME"])


def list_tables(args: Namespace) -> Report:
    """List the tables of a backup, or those of a selection with its dependencies."""
    repository = _open(args.repo, args)
    manager = RestoreManager(repository, _keyring(args, repository), progress=args.progress)
    listing = manager.contents(args.label)
    sizes = listing.table_bytes()
    selection = _selection(args)
    resolved = listing.resolve(selection) if selection else None
    shown = {name: size for name, size in sizes.items() if not resolved or name in resolved.tables}
    lines = resolved.notes if resolved else []
    return Report(
        {
            "tables": [{"name": name, "plain_bytes": size} for name, size in shown.items()],
            "remarks": lines,
        },
        lines,
        table=TextTable(
            ("SIZE", "TABLE"),
            [(size_text(size), name) for name, size in shown.items()],
            numeric=frozenset({0}),
        ),
    )


def _selection(args: Namespace, *, rows_only: bool = False) -> Selection | None:
    return selection_of(
        args.table,
        args.schema,
        with_data=not args.schema_only,
        with_structure=not rows_only,
        renames=args.rename_schema,
    )


def restore(args: Namespace) -> Report:
    """Restore a backup, or check whether it can be restored."""
    repository = _open(args.repo, args)
    manager = RestoreManager(repository, _keyring(args, repository), progress=args.progress)
    target = args.name or args.replace or args.into
    if args.data_only and not args.into:
        raise BadSetting("--data-only needs --into", "name the database whose tables get the rows")
    request = RestoreRequest(
        selection=_selection(args, rows_only=args.data_only),
        into_existing=bool(args.into),
        replace=bool(args.replace),
        owner=args.owner,
        create_roles=args.create_roles,
        jobs=args.jobs,
        options=tuple(args.options),
    )
    operation = manager.check_restore if args.check else manager.restore_backup
    found = operation(
        args.label,
        target,
        request,
        password=_password(args),
        accept_untrusted=args.accept_untrusted,
    )
    where = f"into {target}" if args.into else f"as {target}"
    if isinstance(found, list):
        return checks_report(found, f"{args.label} {where}", {"target": target})
    retained = f"; the database it replaced is {found.retained_as}" if found.retained_as else ""
    return _restored(found, f"{found.manifest.label}: restored {where}{retained}")


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


def copy(args: Namespace) -> Report:
    """Copy a backup into another repository."""
    target = open_repository(args.to, _credentials(args.to_s3_credentials))
    manager = BackupManager(_open(args.repo, args), progress=args.progress)
    manifest = manager.copy_backup(args.label, target)
    return Report(
        {"label": str(manifest.label), "to": args.to}, [f"{manifest.label} is now in {args.to}"]
    )


def delete(args: Namespace) -> Report:
    """Remove a backup."""
    label = str(BackupManager(_open(args.repo, args)).delete_backup(args.label))
    return Report({"label": label}, [f"{label} is removed from {args.repo}"])


def rotate(args: Namespace) -> Report:
    """Wrap the keys of all backups for new keys."""
    repository = _open(args.repo, args)
    manager = BackupManager(repository, _keyring(args, repository), progress=args.progress)
    new = _ring(repository, args.new_key_file, args.new_passphrase_file)
    results = manager.rotate_keys(new, min_slots=args.min_keys)
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


def cleanup(args: Namespace) -> Report:
    """Remove what backups or restores that died left behind."""
    if not 0 < args.older_than <= _LONGEST_HOURS:
        raise BadSetting(
            f"--older-than {args.older_than} is not a time after which a backup is dead",
            f"give hours, more than the longest backup takes and up to {_LONGEST_HOURS}",
        )
    if is_address(args.place):
        return _cleanup_server(args)
    removed = BackupManager(_open(args.place, args)).cleanup(timedelta(hours=args.older_than))
    labels = [str(label) for label in removed.labels]
    failures = {name: str(error) for name, error in removed.failures.items()}
    hints = dict.fromkeys(error.hint for error in removed.failures.values())
    return Report(
        {"labels": labels, "uploads": removed.uploads, "failures": failures},
        [
            *(f"removed unfinished backup {label}" for label in labels),
            *(f"removed unfinished upload {name}" for name in removed.uploads),
            *(f"not removed: {name}: {error}" for name, error in failures.items()),
            *(f"hint: {hint}" for hint in hints if hint),
            f"removed {count_text(len(labels), 'unfinished backup')} and "
            f"{count_text(len(removed.uploads), 'unfinished upload')}",
        ],
        exits.STORAGE if failures else exits.OK,
    )


def _cleanup_server(args: Namespace) -> Report:
    before = utc_now() - timedelta(hours=args.older_than)
    removed = cleanup_restores(args.place, before, _password(args))
    return Report(
        {"restores": removed},
        [
            *(f"removed unfinished restore {name}" for name in removed),
            f"removed {count_text(len(removed), 'unfinished restore')}",
        ],
    )


def _open(url: str, args: Namespace) -> BackupRepository:
    return open_repository(url, _credentials(args.s3_credentials))


def _open_all(args: Namespace) -> tuple[list[BackupRepository], dict[str, CovetError]]:
    """Return the repositories that can be opened, and why the others cannot: one that cannot be
    reached must not keep the others from the backup. Raises the first reason if none can be."""
    opened: list[BackupRepository] = []
    failures: dict[str, CovetError] = {}
    for url in args.repo:
        try:
            opened.append(_open(url, args))
        except CovetError as error:
            failures[url] = error
    if not opened:
        raise next(iter(failures.values()))
    return opened, failures


def _credentials(path: Path | None) -> Any:
    return s3_credentials_from_file(path) if path else None


def _keyring(args: Namespace, repository: BackupRepository) -> Keyring:
    return _ring(repository, args.key_file, args.passphrase_file)


def _ring(repository: BackupRepository, keys: list[Path], passphrases: list[Path]) -> Keyring:
    # One salt for the repository: a passphrase is then one key, derived once, for all its backups.
    salt = bytes.fromhex(repository.id)
    return Keyring.load(keys, passphrases, passphrase_salt=salt)


def _password(args: Namespace) -> Secret | None:
    if args.password_file is None:
        return None
    text = read_passphrase(args.password_file)
    return Secret(text.removesuffix("\n").removesuffix("\r"))
