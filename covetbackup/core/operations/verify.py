"""Verification of a backup at one of five levels: it names every fault and stops at none.

exists      objects present, sizes equal and possible, manifest intact       no key
checksum    stored bytes are those that were written                         no key
sampled     random chunks open, or random frames decompress                  key if encrypted
content     all of it decrypts, decompresses, matches, has the engine's end  key if encrypted
restore     it loads: a drill, see `restore.drill_backup`                    key and a server
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from covetbackup.core.crypto.header import plausible_size
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import (
    NOT_ITS_FAULT,
    CovetError,
    Incomplete,
    IntegrityError,
    ObjectNotFound,
    StorageError,
    Truncated,
)
from covetbackup.core.operations.lost_index import LostIndexes
from covetbackup.core.operations.sample import sample_object
from covetbackup.core.progress import DAMAGED, Progress, Silent
from covetbackup.core.repository import layout, manifest_json
from covetbackup.core.repository.keys_store import copy_problems, generations
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import BackupObject, Manifest, Trust
from covetbackup.core.repository.member_streams import Stream, open_stream, streams
from covetbackup.core.repository.open_backup import OpenedBackup, open_backup
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.meter import VerifyDigest, count_progress
from covetbackup.core.stream.pump import drain

MemberCheck = Callable[[str, str], Filter | None]
"""From database kind and member name to that kind's own check: see `Engine.check`."""


class VerifyLevel(StrEnum):
    """The levels of verification: each reads more of a backup than the one before."""

    EXISTS = "exists"
    CHECKSUM = "checksum"
    SAMPLED = "sampled"
    CONTENT = "content"
    RESTORE = "restore"


_FAULTS = (IntegrityError, StorageError, Incomplete)
"""What is wrong with a backup when reading it raises this, an unreadable sector included."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: the object or member it is in, and the error."""

    where: str
    error: CovetError


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The findings of a verification; `warnings` do not make a backup unusable.

    Those are a damaged spare copy of the keys, an object too many. `lost_indexes` are frame indexes
    that are missing or damaged, and in `warnings` too: all data is restored without them, more
    slowly.
    """

    label: Label
    level: VerifyLevel
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    lost_indexes: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.findings


def verify_backup(
    repository: BackupRepository,
    label: Label,
    level: VerifyLevel,
    *,
    keyring: Keyring,
    check: MemberCheck,
    progress: Progress,
    workers: int = 2,
    data: bytes | None = None,
) -> VerifyResult:
    """Verify `label` up to `level`; the result says which level that was.

    For `VerifyLevel.RESTORE` that is content: the drill is apart. `data` are the bytes of the
    manifest if they were read. Damage is returned as findings. Raises only what says nothing about
    the backup: `NOT_ITS_FAULT`, `KeyUnavailable`, `SinkFailed`, `Cancelled`.
    """
    level = VerifyLevel.CONTENT if level is VerifyLevel.RESTORE else level
    run = _Verification(repository, label, progress, workers, LostIndexes())
    try:
        data = repository.manifest_bytes(label) if data is None else data
        manifest = manifest_json.decode(data, label)
    except (IntegrityError, ObjectNotFound) as error:
        return run.result(level, [Finding(layout.MANIFEST, error)], ())
    progress.phase("looking for objects")
    findings = list(run.missing(manifest))
    warnings = list(run.unexpected(manifest))
    if manifest.suite is not None and level is not VerifyLevel.EXISTS:
        warnings += copy_problems(repository.storage, label)
    if level is VerifyLevel.CHECKSUM and not findings:
        findings += run.damaged(manifest)
    if level in (VerifyLevel.SAMPLED, VerifyLevel.CONTENT) and not findings:
        try:
            opened = open_backup(repository, label, keyring, data=data)
        except IntegrityError as error:
            return run.result(level, [Finding("keys", error)], tuple(warnings))
        warnings += [problem for problem in opened.problems if problem not in warnings]
        if opened.trust is Trust.UNTRUSTED:
            warnings.append("no signer the keyring trusts vouches for it: restore will refuse it")
        findings += (
            run.unsound(opened) if level is VerifyLevel.SAMPLED else run.unreadable(opened, check)
        )
    return run.result(level, findings, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Verification:
    repository: BackupRepository
    label: Label
    progress: Progress
    workers: int
    lost: LostIndexes

    def result(
        self, level: VerifyLevel, findings: list[Finding], warnings: tuple[str, ...]
    ) -> VerifyResult:
        lost = tuple(Finding(name, error) for name, error in sorted(self.lost.found.items()))
        said = (*warnings, *self.lost.sentences)
        return VerifyResult(self.label, level, tuple(findings), said, lost)

    def fault_of(
        self, stored: BackupObject, error: CovetError, indexes: Container[str]
    ) -> Iterator[Finding]:
        """The finding for a stored object, unless it is one that only makes reading faster."""
        if stored.name in indexes:
            self.lost.add(Silent(), stored.name, error)  # the result warns of it
        else:
            yield self.found(stored.name, error)

    def found(self, where: str, error: CovetError) -> Finding:
        """A finding, told while the phase that found it is the present one."""
        self.progress.note(f"{DAMAGED}{where}: {error}")
        return Finding(where, error)

    def missing(self, manifest: Manifest) -> Iterator[Finding]:
        """Level exists: from one listing and arithmetic."""
        indexes = manifest.index_names
        sizes = {found.name: found.size for found in self.repository.objects(self.label)}
        for stored in manifest.objects:
            size = sizes.get(self.label.folder + stored.name)
            if size is None:
                missing = ObjectNotFound(f"{stored.name} is missing")
                yield from self.fault_of(stored, missing, indexes)
            elif size != stored.size or not _possible(manifest, size):
                error = Truncated(f"{stored.name} has {size} bytes instead of {stored.size}")
                yield from self.fault_of(stored, error, indexes)
        if manifest.suite and not generations(self.repository.storage, self.label):
            yield self.found("keys", ObjectNotFound(f"backup {self.label} has no keys object"))

    def unexpected(self, manifest: Manifest) -> Iterator[str]:
        known = {self.label.folder + stored.name for stored in manifest.objects}
        known.add(self.label.manifest)
        for found in self.repository.objects(self.label):
            if found.name not in known and layout.keys_generation(found.name) is None:
                yield f"{found.name} is not part of the backup"
        if self.repository.id not in manifest.origin:
            yield "this is a copy: it was first written to another repository"

    def damaged(self, manifest: Manifest) -> Iterator[Finding]:
        """Level checksum: every stored byte."""
        indexes = manifest.index_names
        for stored in manifest.objects:
            if stored.name in self.lost.found:
                continue
            self.progress.phase(f"reading {stored.name}", stored.size)
            expect = VerifyDigest(stored.size, stored.sha256, stored.name)
            try:
                source = self.repository.open_object(self.label, stored.name)
                drain(source, [count_progress(self.progress), expect])
            except NOT_ITS_FAULT:
                raise
            except _FAULTS as error:
                yield from self.fault_of(stored, error, indexes)

    def unsound(self, opened: OpenedBackup) -> Iterator[Finding]:
        """Level sampled: a few random pieces of every volume."""
        for member in opened.manifest.members:
            self.progress.phase(f"sampling {member.name}")
            for volume in member.volumes:
                try:
                    sample_object(self.repository, opened, member, volume=volume)
                except NOT_ITS_FAULT:
                    raise
                except _FAULTS as error:
                    yield self.found(volume.name, error)

    def unreadable(self, opened: OpenedBackup, check: MemberCheck) -> Iterator[Finding]:
        """Level content: everything, as a restore would read it."""
        for stream in streams(opened.manifest):
            own = check(opened.manifest.kind, stream.name)
            fault = self._fault(opened, stream, [own] if own else [])
            if fault is None:
                continue
            # Which of its parts it is in, and whether there are more behind the first.
            parts = [Stream(member, (member,)) for member in stream.members]
            inside = [self._fault(opened, part, []) for part in parts] if len(parts) > 1 else []
            yield from filter(None, inside) if any(inside) else [fault]

    def _fault(
        self, opened: OpenedBackup, stream: Stream, filters: Sequence[Filter]
    ) -> Finding | None:
        manifest = opened.manifest
        size = sum(manifest.opened.plain[member].size for member in stream.members)
        self.progress.phase(f"verifying {stream.name}", size)
        source = open_stream(
            self.repository,
            manifest,
            stream.name,
            dek=opened.dek,
            workers=self.workers,
            lost=self.lost.reporter(Silent()),
        )
        try:
            drain(source, [count_progress(self.progress), *filters])
        except NOT_ITS_FAULT:
            raise
        except _FAULTS as error:
            return self.found(stream.name, error)
        return None


def _possible(manifest: Manifest, size: int) -> bool:
    return manifest.suite is None or plausible_size(size, manifest.suite)
