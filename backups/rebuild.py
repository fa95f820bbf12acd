"""Filling the catalog from a repository alone: no step needs the catalog that was lost.

Servers and databases come back as placeholders: what kind, where, and what they were called. Run
again it adds what is missing and opens what was sealed, so that a key can be found later.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from backups import engine_factory
from backups.models import Backup, BackupCopy, BackupState, CopyState, Database, Repository, Server
from backups.models.source import DatabaseState
from backups.state import describe, recompute_state, sha256_of
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.registry import ENTRIES, capabilities, member_check
from covetbackup.core.errors import CovetError, KeyUnavailable
from covetbackup.core.operations.verify import VerifyLevel, verify_backup
from covetbackup.core.progress import Progress
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest, Trust
from covetbackup.core.repository.open_backup import open_backup, signer_of
from covetbackup.core.repository.repository import BackupRepository, ListEntry

RECREATED = "recreated from backups: enter how to connect, then discover its databases"
_SEALED_NAME = "sealed: "


@dataclass(slots=True)
class Rebuilt:
    """The labels by result.

    `sealed` and `untrusted` are in the catalog too; `damaged` are those whose manifest cannot be
    read, with the reason.
    """

    added: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    untrusted: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)


def rebuild(repository: Repository, *, keyring: Keyring, progress: Progress) -> Rebuilt:
    """Add every backup in `repository` that the catalog does not know.

    `keyring` opens what is sealed; a backup that it does not open is listed under the name of its
    folder. Raises what the repository raises; what was added until then stays.
    """
    opened = engine_factory.open_repository(repository)
    run = _Run(repository, opened, keyring, progress)
    progress.phase("reading manifests")
    for listed in opened.backups():
        progress.advance(0)
        run.take(listed)
    return run.result


@dataclass(slots=True)
class _Run:
    row: Repository
    repository: BackupRepository
    keyring: Keyring
    progress: Progress
    result: Rebuilt = field(default_factory=Rebuilt)

    def take(self, listed: ListEntry) -> None:
        label = listed.label
        if listed.manifest is None:
            self.result.damaged[str(label)] = str(listed.problem)
            return
        if listed.manifest.kind not in ENTRIES:
            self.result.damaged[str(label)] = f"{listed.manifest.kind!r} needs a newer CovetBackup"
            return
        try:
            manifest, warnings = self._opened(label, listed.manifest)
        except CovetError as error:
            self.result.damaged[str(label)] = str(error)
            return
        problem = self._missing_objects(label)
        sha256 = sha256_of(self.repository.manifest_bytes(label))
        with transaction.atomic():
            backup = self._backup(manifest, warnings, sha256)
            self._copy(backup, problem)
            recompute_state(backup)

    def _opened(self, label: Label, manifest: Manifest) -> tuple[Manifest, list[str]]:
        try:
            opened = open_backup(self.repository, label, self.keyring)
        except KeyUnavailable as error:
            self.result.sealed.append(str(label))
            return manifest, [f"its details are sealed: {error}"]
        if opened.trust is not Trust.UNTRUSTED:
            return opened.manifest, []
        self.result.untrusted.append(str(label))
        signer = signer_of(opened.manifest)
        name = signer.signer_id if signer else "nobody"
        return opened.manifest, [f"signed by {name}, whom no key of this team trusts"]

    def _missing_objects(self, label: Label) -> str:
        found = verify_backup(
            self.repository,
            label,
            VerifyLevel.EXISTS,
            keyring=self.keyring,
            check=member_check,
            progress=self.progress,
        )
        if found.findings:
            self.result.incomplete.append(str(label))
        return "; ".join(f"{finding.where}: {finding.error}" for finding in found.findings[:5])

    def _backup(self, manifest: Manifest, warnings: Iterable[str], sha256: str) -> Backup:
        label = str(manifest.label)
        rows = Backup.objects.filter(database__server__team=self.row.team, label=label)
        backup = rows.select_related("database__server").first()
        if backup is None:
            self.result.added.append(label)
            backup = Backup(
                id=_free_id(manifest.label),
                state=BackupState.AVAILABLE,
                created_at=manifest.started_at,
                database=_database(self.row, manifest),
            )
            _tell(backup, manifest, warnings, sha256)
            return backup
        self.result.known.append(label)
        # What was sealed when it was listed first may be open now, not the other way round.
        if manifest.details is not None and backup.plain_bytes is None:
            sealed, backup.database = backup.database, _database(self.row, manifest)
            _tell(backup, manifest, warnings, sha256)
            _drop_unused(sealed)
        return backup

    def _copy(self, backup: Backup, problem: str) -> None:
        copy, _ = BackupCopy.objects.get_or_create(backup=backup, repository=self.row)
        if problem:
            copy.state = CopyState.MISSING
        elif copy.state not in (CopyState.VERIFIED, CopyState.CORRUPT):
            copy.state = CopyState.STORED
        copy.problem = problem or (copy.problem if copy.state == CopyState.CORRUPT else "")
        copy.stored_at = copy.stored_at or backup.finished_at
        copy.checked_at = timezone.now()
        copy.save()


def _tell(backup: Backup, manifest: Manifest, warnings: Iterable[str], sha256: str) -> None:
    """Save `backup` as `manifest` describes it, with `warnings` about this reading of it."""
    describe(backup, manifest)
    told = manifest.details.warnings if manifest.details else ()
    backup.warnings = [*told, *warnings]
    backup.manifest_sha256 = sha256
    backup.save()


def _free_id(label: Label) -> uuid.UUID:
    """The backup's own id, so that old addresses work again, unless another team's row has it."""
    own = uuid.UUID(bytes=label.backup_id)
    return uuid.uuid4() if Backup.objects.filter(pk=own).exists() else own


def _database(repository: Repository, manifest: Manifest) -> Database:
    """The database a manifest is of, made as a placeholder if it is not in the catalog."""
    if manifest.details is None:
        server = _placeholder(repository, manifest.kind, "sealed")
        name = f"{_SEALED_NAME}{manifest.label.slug}"
    else:
        server = _placeholder(repository, manifest.kind, manifest.details.where)
        name = manifest.details.database
    database, _ = Database.objects.get_or_create(
        server=server,
        name=name[:255],
        defaults={"state": DatabaseState.GONE, "is_new": False},
    )
    return database


def _drop_unused(database: Database) -> None:
    """Remove the placeholder of a sealed backup that is open now, if it was its last."""
    if database.backups.exists():
        return
    server = database.server
    database.delete()
    if server.problem == RECREATED and not server.databases.exists():
        server.delete()


def _placeholder(repository: Repository, kind: str, where: str) -> Server:
    """The team's server of that kind at that place."""
    place = _place(kind, where)
    server = repository.team.servers.filter(kind=kind, **place).order_by("pk").first()
    if server is not None:
        return server
    return Server.objects.create(
        team=repository.team,
        kind=kind,
        name=_free_name(repository, where),
        problem=RECREATED,
        **place,
    )


def _place(kind: str, where: str) -> dict[str, object]:
    known = capabilities(kind)
    if known.is_in_files:
        return {"folder": where[:1000]}
    host, _, port = where.rpartition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    number = int(port) if is_port else known.default_port
    return {"host": (host or where)[:255], "port": number}


def _free_name(repository: Repository, where: str) -> str:
    base = (where or "unknown")[-80:]
    taken = set(repository.team.servers.values_list("name", flat=True))
    names = [base, *(f"{base} ({number})" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)
