"""Storing of one member: compress, cut into volumes, encrypt, hash, write to every replica."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from covetbackup.core.crypto.chunks import FinalFlag, encrypt
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import INDEX_VOLUME, StreamId, object_number
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.base import Member
from covetbackup.core.errors import Incomplete
from covetbackup.core.operations.replicas import ReplicaSet
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.repository import layout
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import BackupObject, PlainFacts, StoredMember
from covetbackup.core.repository.objects import bytes_source
from covetbackup.core.repository.volumes import Cutter
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.codec import Codec, CodecSpec, compress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.meter import Meter
from covetbackup.core.stream.pump import filtered, pump


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """The way in which the members of one backup are stored; `dek` is None without `suite`."""

    label: Label
    codec: CodecSpec
    suite: Suite | None
    dek: Dek | None
    volume_size: int
    workers: int


@dataclass(frozen=True, slots=True)
class MemberStore:
    """A store for members of the backup that `plan` describes, in every replica."""

    plan: StoragePlan
    replicas: ReplicaSet

    def shared_by(self, others: int) -> MemberStore:
        """Return a store with its share of the workers when `others` more are stored at once.

        Four streams with two threads each on two cores took 40 % longer than with one each.
        """
        workers = max(1, self.plan.workers // (others + 1))
        return replace(self, plan=replace(self.plan, workers=workers))

    def store(
        self, number: int, member: Member, progress: Progress
    ) -> tuple[StoredMember, PlainFacts]:
        """Store `member` as the backup's member `number`.

        Raises `Incomplete` if it is empty and may not be, and what its source, or all replicas,
        raise. May run for several members at once.
        """
        plan = self.plan
        plain = Meter(progress)
        frames = FrameIndex()
        to_packed: list[Filter] = [
            plain,
            _refuse_empty(member, plain),
            compress(plan.codec, workers=plan.workers, frames=frames),
        ]
        with filtered(member.source, to_packed) as packed:
            volumes = self._store_volumes(number, member.name, packed)
        index = self._store_index(number, member.name, frames)
        return StoredMember(member.name, volumes, index), PlainFacts(plain.size, plain.sha256)

    def _store_volumes(
        self, number: int, name: str, packed: Iterator[bytes]
    ) -> tuple[BackupObject, ...]:
        plan = self.plan
        cutter = Cutter(packed, plan.volume_size)
        stored = []
        for volume, payload in enumerate(cutter.volumes()):
            if volume >= INDEX_VOLUME:
                raise Incomplete(f"{name} needs more than {volume} volumes", "use larger volumes")
            object_name = layout.volume_name(
                name, plan.codec, encrypted=plan.suite is not None, volume=volume
            )
            identity = object_number(number, volume)
            stored.append(self._store_object(object_name, identity, payload, cutter))
        return tuple(stored)

    def _store_index(self, number: int, name: str, frames: FrameIndex) -> BackupObject | None:
        plan = self.plan
        if plan.codec.codec is Codec.NONE:
            return None
        object_name = layout.index_name(name, encrypted=plan.suite is not None)
        identity = object_number(number, INDEX_VOLUME)
        return self._store_object(object_name, identity, bytes_source(frames.to_bytes()), None)

    def _store_object(
        self, name: str, number: int, payload: Source, cutter: Cutter | None
    ) -> BackupObject:
        plan = self.plan
        stored = Meter(Silent())
        filters: list[Filter] = [stored]
        if plan.suite is not None and plan.dek is not None:
            identity = StreamId(plan.label.backup_id, number)
            last = cutter.last if cutter else _end
            filters.insert(0, encrypt(plan.dek, identity, suite=plan.suite, last=last))
        sink = self.replicas.create(name)
        pump(payload, filters, sink)
        self.replicas.drop_failed(sink)
        return BackupObject(name, number, stored.size, stored.sha256)


def _end() -> FinalFlag:
    return FinalFlag.END


def _refuse_empty(member: Member, plain: Meter) -> Filter:
    """Return a filter that raises at the end of an empty stream, before any end mark is written."""

    def check(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        if plain.size == 0 and not member.may_be_empty:
            raise Incomplete(
                f"the dump {member.name} is empty", "the client program ended well but sent nothing"
            )

    return check
