"""The Python API for programs other than the dashboard: a thin layer over `operations`.

repository = open_repository("file:///srv/backups")
keyring = Keyring.load(key_files=[Path("working.key")])
BackupManager(repository, keyring).create_backup("sqlite:////srv/shop.db")
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.checks import Check, failed
from covetbackup.core.databases.registry import (
    default_jobs,
    export,
    member_check,
    open_address,
    restore_features,
)
from covetbackup.core.databases.restore import WHOLE_BACKUP, RestoreRequest
from covetbackup.core.databases.selection import Listing
from covetbackup.core.errors import BadSetting, Conflict, CovetError, TargetNotEmpty
from covetbackup.core.operations.backup import BackupRequest, BackupResult, Clock, take_backup
from covetbackup.core.operations.check_backup import check_backup
from covetbackup.core.operations.contents import contents_of, default_workers, open_plain
from covetbackup.core.operations.copy import copy_backup, mend_indexes
from covetbackup.core.operations.delete import CleanupResult, cleanup_repository, delete_backup
from covetbackup.core.operations.restore import (
    RestoreResult,
    drill_backup,
    refuse_other_kind,
    restore_backup,
)
from covetbackup.core.operations.rotate import RotationResult, rotate_keys
from covetbackup.core.operations.verify import VerifyLevel, VerifyResult, verify_backup
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.repository.layout import Label, slug_of
from covetbackup.core.repository.manifest import Manifest
from covetbackup.core.repository.marker import initialise
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.core.repository.repository import BackupRepository, ListEntry
from covetbackup.core.repository.volumes import VOLUME_SIZE
from covetbackup.core.storage.base import Storage
from covetbackup.core.storage.registry import S3Credentials, open_storage
from covetbackup.core.stream import disk
from covetbackup.core.stream.base import Source
from covetbackup.core.stream.codec import CodecSpec
from covetbackup.core.stream.secret import Secret

PLAIN = "none"
"""The cipher that is none; it has to be asked for."""

STREAMS = 4
"""How much of a database is read at once: over a link that is limited for each connection, four
are worth nearly four times one; a server has cores and disks for as many."""


def utc_now() -> datetime:
    """Return the present time, aware UTC."""
    return datetime.now(UTC)


def create_repository(url: str, credentials: S3Credentials | None = None) -> BackupRepository:
    """Make the empty place `url` (`file:///path`, `s3://bucket/prefix`) a repository and open it.

    Raises `Conflict` if anything is there, `StorageError`, `BadSetting`.
    """
    storage = open_storage(url, credentials)
    return BackupRepository(storage, name=url, marker=initialise(storage, utc_now()))


def open_repository(url: str, credentials: S3Credentials | None = None) -> BackupRepository:
    """Open the repository at `url`. Raises `BadSetting` if there is none, `StorageError`."""
    storage: Storage = open_storage(url, credentials)
    return BackupRepository.open(storage, name=url)


class BackupManager:
    """The backups of one repository: takes, lists, verifies, copies and deletes them.

    Not for use from several threads at once.
    """

    def __init__(
        self,
        repository: BackupRepository,
        keyring: Keyring | None = None,
        *,
        progress: Progress | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._repository = repository
        self._keyring = keyring or Keyring()
        self._progress = progress or Silent()
        self._clock = clock

    def create_backup(
        self,
        source: str,
        *,
        password: Secret | None = None,
        name: str = "",
        method: str = "",
        codec: str = "zstd:3",
        cipher: str = Suite.AES_256_GCM.value,
        also: Sequence[BackupRepository] = (),
        workers: int = 0,
        streams: int = STREAMS,
        volume_size: int = VOLUME_SIZE,
        min_slots: int = 2,
    ) -> BackupResult:
        """Back up the database at the address `source` here and into the repositories `also`.

        `name` groups backups of one source (default: made from its address); `workers` 0 means
        one for each core; `streams` is how many parts of the database are read at once;
        `volume_size` is in bytes. Guarantees and errors: `take_backup`.
        """
        address = open_address(source, password)
        kind = address.engine.kind
        request = BackupRequest(
            slug=name or slug_of(kind, address.where, address.database),
            database=address.database,
            where=address.where,
            codec=CodecSpec.parse(codec),
            suite=_suite(cipher),
            method=method,
            workers=workers or default_workers(),
            streams=streams,
            volume_size=volume_size,
            min_slots=min_slots,
        )
        return take_backup(
            address.engine,
            [self._repository, *also],
            request,
            keyring=self._keyring,
            progress=self._progress,
            clock=self._clock,
        )

    def list_backups(self, name: str = "") -> list[ListEntry]:
        """Return all backups, or those of one source `name`; needs no key."""
        return list(self._repository.backups(name))

    def show_backup(self, label: str) -> Manifest:
        """Return the manifest with its details. `label` as in `BackupRepository.find`."""
        found = self._repository.find(label)
        return open_backup(self._repository, found, self._keyring).manifest

    def verify_backup(self, label: str, level: VerifyLevel = VerifyLevel.CONTENT) -> VerifyResult:
        """Verify up to `level`; for `VerifyLevel.RESTORE` use `RestoreManager.test_restore`."""
        found = self._repository.find(label)
        return verify_backup(
            self._repository,
            found,
            level,
            keyring=self._keyring,
            check=member_check,
            progress=self._progress,
            workers=default_workers(),
        )

    def copy_backup(self, label: str, target: BackupRepository) -> Manifest:
        """Copy a backup byte for byte into `target`; needs no key.

        If the backup is there already, only frame indexes that it has lost are copied; raises
        `Conflict` if there are none.
        """
        found = self._repository.find(label)
        try:
            return copy_backup(self._repository, found, target, progress=self._progress)
        except Conflict:
            if not mend_indexes(self._repository, found, target, progress=self._progress):
                raise
            return target.manifest(found)

    def delete_backup(self, label: str) -> Label:
        """Remove a backup for good, or its leftovers by its whole label; return the label."""
        found = self._repository.find_leftovers(label)
        delete_backup(self._repository, found)
        return found

    def rotate_keys(self, new: Keyring, *, min_slots: int = 2) -> list[RotationResult]:
        """Wrap all backups, opened with this manager's keyring, for the keys of `new`."""
        return list(
            rotate_keys(
                self._repository,
                old=self._keyring,
                new=new,
                min_slots=min_slots,
                progress=self._progress,
            )
        )

    def cleanup(self, older_than: timedelta) -> CleanupResult:
        """Remove what backups that died more than `older_than` ago left behind."""
        return cleanup_repository(self._repository, self._clock() - older_than)


class RestoreManager:
    """Restores of the backups in one repository."""

    def __init__(
        self,
        repository: BackupRepository,
        keyring: Keyring | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        self._repository = repository
        self._keyring = keyring or Keyring()
        self._progress = progress or Silent()

    def restore_backup(
        self,
        label: str,
        target: str,
        request: RestoreRequest = WHOLE_BACKUP,
        *,
        password: Secret | None = None,
        accept_untrusted: bool = False,
    ) -> RestoreResult:
        """Restore into the database at the address `target`, new unless `request` says otherwise.

        Guarantees and errors: `operations.restore`.
        """
        return self._run(restore_backup, label, target, request, password, accept_untrusted)

    def test_restore(
        self,
        label: str,
        target: str,
        request: RestoreRequest = WHOLE_BACKUP,
        *,
        password: Secret | None = None,
        accept_untrusted: bool = False,
    ) -> RestoreResult:
        """Restore, compare with the manifest, and remove the result again."""
        return self._run(drill_backup, label, target, request, password, accept_untrusted)

    def check_restore(
        self,
        label: str,
        target: str,
        request: RestoreRequest = WHOLE_BACKUP,
        *,
        password: Secret | None = None,
        accept_untrusted: bool = False,
    ) -> list[Check]:
        """Return what can be found out before `restore_backup`, in the order of a restore.

        What cannot be looked at is a check that failed. Raises `BadSetting` for an address or a
        label that names nothing.
        """
        address = open_address(target, password)
        try:
            restore_features(address.engine.kind).refuse(request)
        except CovetError as error:
            return [failed("Options", error)]
        known = check_backup(
            self._repository,
            self._repository.find(label),
            request,
            keyring=self._keyring,
            accept_untrusted=accept_untrusted,
        )
        manifest = known.manifest
        if manifest is None:
            return list(known.checks)
        refuse_other_kind(manifest, address.engine)
        jobs = request.jobs or default_jobs(manifest.kind, manifest.method)
        named = replace(request, database=address.database, jobs=jobs)
        planned = known.planned_restore(named, manifest.opened.inventory, None, "")
        return [*known.checks, *address.engine.check_restore(planned)]

    def contents(self, label: str) -> Listing:
        """Return the tables of a backup with their sizes; it resolves selections of them."""
        found = self._repository.find(label)
        opened = open_backup(self._repository, found, self._keyring)
        return contents_of(self._repository, opened, self._progress)

    def export(self, label: str, folder: Path) -> None:
        """Write a PostgreSQL backup into the new `folder` as pg_dump's directory form.

        `pg_restore --jobs` loads from that. Raises `TargetNotEmpty` if it exists, `StorageFull`,
        `AccessRefused` or `StorageError` if it cannot be written; what fails leaves none.
        """
        kind = self._repository.manifest(self._repository.find(label)).kind
        try:
            with disk.translated(folder):
                folder.mkdir(mode=0o700)
        except FileExistsError as error:
            raise TargetNotEmpty(f"{folder} exists already", "name a new folder") from error
        except OSError as error:
            raise BadSetting(f"{folder.parent} is not a directory", "create it first") from error
        try:
            with disk.translated(folder):
                export(kind, partial(self.open_member, label), folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def open_member(self, label: str, member: str) -> Source:
        """Return the plain bytes of a member, or of all parts of a stream, as a source.

        Such a stream is `dump.pgc`. The end of the source proves that it was all of it.
        """
        found = self._repository.find(label)
        opened = open_backup(self._repository, found, self._keyring)
        return open_plain(self._repository, opened, member, self._progress)

    def _run(
        self,
        operation: Callable[..., RestoreResult],
        label: str,
        target: str,
        request: RestoreRequest,
        password: Secret | None,
        accept_untrusted: bool,
    ) -> RestoreResult:
        return operation(
            self._repository,
            self._repository.find(label),
            open_address(target, password).engine,
            request,
            keyring=self._keyring,
            progress=self._progress,
            workers=default_workers(),
            accept_untrusted=accept_untrusted,
        )


def _suite(cipher: str) -> Suite | None:
    if cipher == PLAIN:
        return None
    try:
        return Suite(cipher)
    except ValueError:
        choices = ", ".join([*Suite, PLAIN])
        raise BadSetting(f"{cipher[:40]!r} is not a cipher", f"one of: {choices}") from None
