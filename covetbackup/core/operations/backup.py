"""Backups: one snapshot, streamed into one or more repositories, published last.

Until the manifest is written no repository holds anything that looks like a backup. A repository
that fails drops out and the others go on; everything unfinished is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from covetbackup.core.crypto.dek import Dek, new_dek
from covetbackup.core.crypto.envelope import wrap_dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.base import BackupOptions, BackupSummary, Engine, Member
from covetbackup.core.errors import BadSetting, CovetError
from covetbackup.core.operations.parallel import run_parallel
from covetbackup.core.operations.replicas import ReplicaSet
from covetbackup.core.operations.store import MemberStore, StoragePlan
from covetbackup.core.progress import Progress
from covetbackup.core.repository import manifest_json
from covetbackup.core.repository.layout import Label, new_label
from covetbackup.core.repository.manifest import Details, Manifest, PlainFacts, StoredMember
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.repository.volumes import VOLUME_SIZE
from covetbackup.core.stream.codec import CodecSpec

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """A backup to take, and how to store it.

    `slug` groups the backups of one source; `where` and `database` describe the source to people.
    `suite` None means unencrypted. `volume_size` is in bytes of compressed data. `streams` is how
    many members may be read at once; `workers` threads compress what they bring, shared by those
    that are stored at once. A `label` made beforehand, with a backup id never used before, lets a
    caller note it before the first byte is stored and so find what is left if this process dies.
    Raises `BadSetting` for a number of workers or bytes that is not positive.
    """

    slug: str
    database: str
    where: str
    codec: CodecSpec
    suite: Suite | None
    method: str = ""
    workers: int = 2
    streams: int = 1
    volume_size: int = VOLUME_SIZE
    min_slots: int = 2
    label: Label | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadSetting(f"{self.workers} workers cannot compress")
        if self.streams < 1:
            raise BadSetting(f"{self.streams} streams cannot carry a backup")
        if self.volume_size < 1:
            raise BadSetting(f"a volume cannot hold {self.volume_size} bytes")


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that was taken; `failures` names the repositories without it and the reasons."""

    manifest: Manifest
    stored_in: tuple[str, ...]
    failures: dict[str, CovetError]


def take_backup(
    engine: Engine,
    repositories: Sequence[BackupRepository],
    request: BackupRequest,
    *,
    keyring: Keyring,
    progress: Progress,
    clock: Clock,
    before_publish: Callable[[], None] = lambda: None,
) -> BackupResult:
    """Back up what `engine` reads into every one of `repositories`.

    Returns when at least one repository holds the published backup. Raises the error that made that
    impossible, `Cancelled` included; then no repository holds any part of it (after `kill -9`: none
    but unpublished objects, which `cleanup` removes). Keys that cannot be used raise before the
    source is touched: nothing is ever stored in clear by mistake. `before_publish` is called once,
    right before the backup comes to exist, and may raise to prevent it.
    """
    label = request.label or new_label(request.slug, clock(), os.urandom(16))
    dek = new_dek() if request.suite else None
    keys = _wrap(dek, label.backup_id, keyring, request.min_slots)
    replicas = ReplicaSet(repositories, label)
    plan = _plan(request, label, dek)
    with replicas.discard_unless_published():
        sequence, previous = replicas.predecessor()
        storing = _Storing(MemberStore(plan, replicas), request.streams, progress)
        summary = _store_members(engine, request, storing, progress)
        progress.phase("publishing")
        before_publish()
        manifest = Manifest(
            label=label,
            origin=tuple(repository.id for repository in repositories),
            sequence=sequence,
            previous=previous,
            kind=engine.kind,
            method=summary.method,
            server_version=summary.probe.server_version,
            tool_version=summary.probe.tool_version,
            span=summary.span,
            started_at=label.started_at,
            finished_at=clock(),
            codec=request.codec,
            suite=request.suite,
            members=tuple(storing.members),
            details=_details(request, summary, storing.plain),
            signer=manifest_json.public_text(keyring.signer),
        )
        data = manifest_json.encode(manifest, dek=dek, signer=keyring.signer)
        replicas.publish(keys, data, keyring=keyring)
    return BackupResult(manifest, replicas.names, dict(replicas.failures))


def _store_members(
    engine: Engine, request: BackupRequest, storing: _Storing, progress: Progress
) -> BackupSummary:
    with engine.backup(BackupOptions(request.method, request.streams), progress) as session:
        for group in session.groups():
            storing.store(group)
        return session.finish()


def _plan(request: BackupRequest, label: Label, dek: Dek | None) -> StoragePlan:
    return StoragePlan(
        label, request.codec, request.suite, dek, request.volume_size, request.workers
    )


def _wrap(dek: Dek | None, backup_id: bytes, keyring: Keyring, min_slots: int) -> bytes | None:
    if dek is None:
        return None
    return wrap_dek(dek, backup_id, keyring, generation=1, min_slots=min_slots)


class _Storing:
    """The members stored so far, in the order of their numbers."""

    def __init__(self, store: MemberStore, streams: int, progress: Progress) -> None:
        self._store = store
        self._streams = streams
        self._progress = progress
        self.members: list[StoredMember] = []
        self.plain: dict[str, PlainFacts] = {}

    def store(self, group: Sequence[Member]) -> None:
        self._refuse_repeated(group)
        self._progress.phase(f"storing {_name(group)}", _size_hint(group))
        first = len(self.members)
        store = self._store.shared_by(min(len(group), self._streams) - 1)
        tasks = [
            partial(store.store, number, member) for number, member in enumerate(group, start=first)
        ]
        stored = run_parallel(tasks, limit=self._streams, progress=self._progress)
        self.members += [member for member, _ in stored]
        self.plain |= {member.name: facts for member, facts in stored}

    def _refuse_repeated(self, group: Sequence[Member]) -> None:
        names = [*self.plain, *(member.name for member in group)]
        if len(set(names)) < len(names):
            raise BadSetting(f"an engine named two members alike: {', '.join(sorted(names))}")


def _name(group: Sequence[Member]) -> str:
    return group[0].name if len(group) == 1 else f"{len(group)} streams"


def _size_hint(group: Sequence[Member]) -> int | None:
    hints = [member.size_hint for member in group]
    return sum(filter(None, hints)) if all(hints) else None


def _details(
    request: BackupRequest, summary: BackupSummary, plain: dict[str, PlainFacts]
) -> Details:
    return Details(
        database=request.database,
        where=request.where,
        inventory=summary.inventory,
        plain=plain,
        warnings=summary.warnings,
    )
