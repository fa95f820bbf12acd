"""Doubles for tests above the drivers: a database kind in memory, repositories, keys, a clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from covetbackup.core.crypto.keyring import Keyring, NewKeys, new_keys
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSummary,
    Member,
    MemberRange,
    Probe,
    Span,
)
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import SourceFailed, TargetNotEmpty
from covetbackup.core.operations.backup import BackupRequest, BackupResult, take_backup
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.repository.marker import initialise
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.base import Storage
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.codec import CodecSpec

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def sample_bytes(size: int, seed: int = 1) -> bytes:
    """Half words, half noise: compresses about twofold, the same for the same arguments."""
    noise = random.Random(seed).randbytes(size // 2 + 1)
    return (noise + b"the quick brown fox " * (size // 40 + 1))[:size]


class MemoryEngine:
    """A database kind whose databases are dictionaries of members; one table for each member.

    `dies_after` makes the first member's producer fail after so many bytes. `restored` receives
    what a committed restore holds.
    """

    kind = "memory"

    def __init__(
        self, members: Mapping[str, bytes] | None = None, *, dies_after: int | None = None
    ) -> None:
        self.members = dict(members or {})
        self.restored: dict[str, bytes] | None = None
        self.opened = 0
        self._dies_after = dies_after

    def probe(self) -> Probe:
        return Probe(self.kind, "1.0", "1.0", "memory", sum(map(len, self.members.values())))

    @contextmanager
    def backup(self, options: BackupOptions, progress: Progress) -> Iterator[_Backup]:
        self.opened += 1
        yield _Backup(self, self._dies_after)

    @contextmanager
    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> Iterator[_Restore]:
        if self.restored is not None:
            raise TargetNotEmpty(f"{request.database} exists already")
        yield _Restore(self)

    def check(self, member: str) -> Filter | None:
        return None


class _Backup:
    def __init__(self, engine: MemoryEngine, dies_after: int | None) -> None:
        self._engine = engine
        self._dies_after = dies_after

    def groups(self) -> Iterator[Sequence[Member]]:
        yield tuple(
            Member(name, pieces(data, dies_after=self._dies_after), len(data))
            for name, data in self._engine.members.items()
        )

    def finish(self) -> BackupSummary:
        span = Span("", "", "", NOW, NOW)
        return BackupSummary(span, _inventory(self._engine.members), self._engine.probe(), "plain")


class _Restore:
    retained_as = ""
    resolved = None

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine
        self._scratch: dict[str, bytes] = {}

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        yield tuple(map(MemberRange, members))

    def sink(self, piece: MemberRange, progress: Progress) -> _Collect:
        return _Collect(self._scratch, piece.member)

    def inventory(self) -> Inventory:
        return _inventory(self._scratch)

    def commit(self) -> None:
        self._engine.restored = self._scratch


class _Collect:
    def __init__(self, scratch: dict[str, bytes], name: str) -> None:
        self._scratch, self._name, self._data = scratch, name, bytearray()

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def commit(self) -> None:
        self._scratch[self._name] = bytes(self._data)

    def abort(self) -> None:
        self._data.clear()


def _inventory(members: Mapping[str, bytes]) -> Inventory:
    tables = (TableFacts("", name, len(data), True) for name, data in sorted(members.items()))
    return Inventory(tables=tuple(tables))


@contextmanager
def pieces(
    data: bytes, *, size: int = 100_000, dies_after: int | None = None
) -> Iterator[Iterator[bytes]]:
    """A source of `data`; with `dies_after`, of that many bytes and then a dead producer."""

    def produce() -> Iterator[bytes]:
        end = len(data) if dies_after is None else dies_after
        for at in range(0, end, size):
            yield data[at : min(at + size, end)]
        if dies_after is not None:
            raise SourceFailed("dump ended with status 1", "what does its log say?")

    yield produce()


def make_repository(name: str = "first", storage: Storage | None = None) -> BackupRepository:
    storage = storage or MemoryStorage()
    return BackupRepository(storage, name=name, marker=initialise(storage, NOW))


def make_keys() -> tuple[NewKeys, Keyring]:
    keys = new_keys()
    return keys, Keyring.of(keys.working)


def ticking(start: datetime = NOW) -> Iterator[datetime]:
    while True:
        yield start
        start += timedelta(seconds=1)


def make_backup(
    repositories: BackupRepository | list[BackupRepository],
    members: Mapping[str, bytes] | MemoryEngine,
    keyring: Keyring,
    *,
    codec: str = "zstd:1",
    suite: Suite | None = Suite.AES_256_GCM,
    started_at: datetime = NOW,
    volume_size: int = 1 << 40,
    progress: Progress | None = None,
    slug: str = "shop",
    streams: int = 1,
    before_publish: Callable[[], None] = lambda: None,
) -> BackupResult:
    engine = members if isinstance(members, MemoryEngine) else MemoryEngine(members)
    clock = ticking(started_at)
    return take_backup(
        engine,
        repositories if isinstance(repositories, list) else [repositories],
        BackupRequest(
            slug=slug,
            database="shop",
            where="memory",
            codec=CodecSpec.parse(codec),
            suite=suite,
            volume_size=volume_size,
            streams=streams,
        ),
        keyring=keyring,
        progress=progress or Silent(),
        clock=lambda: next(clock),
        before_publish=before_publish,
    )


def names(repository: BackupRepository, prefix: str = "") -> list[str]:
    return [found.name for found in repository.storage.list(prefix)]


def read(repository: BackupRepository, name: str) -> bytes:
    with repository.storage.open(name) as chunks:
        return b"".join(chunks)


def replace(repository: BackupRepository, name: str, data: bytes) -> None:
    """What a hostile or broken storage does: other bytes under the same name."""
    repository.storage.delete(name)
    sink = repository.storage.create(name)
    sink.write(data)
    sink.commit()
