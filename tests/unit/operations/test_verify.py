"""Damage of every kind is named by verify and refused by restore."""

from __future__ import annotations

import random

import pytest

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import CovetError, IntegrityError, StorageError, StorageUnavailable
from covetbackup.core.operations.restore import restore_backup
from covetbackup.core.operations.verify import VerifyLevel, VerifyResult, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.stream.base import Source
from tests.support.doubles import (
    MemoryEngine,
    make_backup,
    make_keys,
    make_repository,
    names,
    read,
    replace,
    sample_bytes,
)

MEMBERS = {"dump.bin": sample_bytes(30_000), "globals.sql": sample_bytes(5_000, seed=2)}
STORED = [
    *((suite, codec) for suite in Suite for codec in ("zstd:1", "none")),
    *((Suite.AES_256_GCM, codec) for codec in ("gzip:1", "bzip2:1", "lzma:0")),
    *((None, codec) for codec in ("none", "gzip:1", "bzip2:1", "lzma:0", "zstd:1")),
]


def verify(
    repository: BackupRepository, label: Label, keyring: Keyring, level: VerifyLevel
) -> VerifyResult:
    return verify_backup(
        repository, label, level, keyring=keyring, check=lambda *_: None, progress=Silent()
    )


def restore(repository: BackupRepository, label: Label, keyring: Keyring) -> MemoryEngine:
    engine = MemoryEngine()
    request = RestoreRequest("copy")
    restore_backup(repository, label, engine, request, keyring=keyring, progress=Silent())
    return engine


@pytest.fixture(params=STORED, ids=lambda stored: f"{stored[0] or 'plain'}-{stored[1]}")
def stored(request: pytest.FixtureRequest) -> tuple[BackupRepository, Label, Keyring]:
    suite, codec = request.param
    _, keyring = make_keys()
    repository = make_repository()
    result = make_backup(repository, MEMBERS, keyring, suite=suite, codec=codec, volume_size=12_000)
    return repository, result.manifest.label, keyring


def must_fail(repository: BackupRepository, label: Label, keyring: Keyring, name: str) -> None:
    """Content verification names the fault; restore refuses and makes nothing."""
    result = verify(repository, label, keyring, VerifyLevel.CONTENT)
    assert not result.ok, name
    engine = MemoryEngine()
    request = RestoreRequest("copy")
    with pytest.raises(CovetError):
        restore_backup(repository, label, engine, request, keyring=keyring, progress=Silent())
    assert engine.restored is None


def must_be_met(repository: BackupRepository, label: Label, keyring: Keyring, name: str) -> None:
    """Damage to data fails; that to a frame index, without which all is read, is said."""
    if ".index" not in name:
        must_fail(repository, label, keyring, name)
        return
    result = verify(repository, label, keyring, VerifyLevel.CONTENT)
    assert result.ok and named(result) == [name.removeprefix(label.folder)]
    assert any("only makes reading faster" in warning for warning in result.warnings)
    engine, progress = MemoryEngine(), Notes()
    request = RestoreRequest("copy")
    restored = restore_backup(
        repository, label, engine, request, keyring=keyring, progress=progress
    )
    assert engine.restored == MEMBERS
    assert [text for text in restored.problems if ".index" in text] == progress.notes
    assert len(progress.notes) == 1


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def named(result: VerifyResult) -> list[str]:
    """Where damage was found, that to frame indexes included."""
    return [found.where for found in (*result.findings, *result.lost_indexes)]


@pytest.mark.parametrize("level", VerifyLevel)
def test_an_intact_backup_passes_every_level(stored, level) -> None:
    repository, label, keyring = stored

    result = verify(repository, label, keyring, level)

    assert result.ok and not result.warnings


def test_an_intact_backup_restores_byte_for_byte(stored) -> None:
    assert restore(*stored).restored == MEMBERS


def test_any_flipped_byte_of_data_is_found(stored) -> None:
    repository, label, keyring = stored
    chance = random.Random(7)
    for name in [n for n in names(repository, label.folder) if "json" not in n]:
        good = read(repository, name)
        for at in {0, len(good) - 1, *chance.sample(range(len(good)), min(4, len(good)))}:
            bad = bytearray(good)
            bad[at] ^= 1 << chance.randrange(8)
            replace(repository, name, bytes(bad))
            found = verify(repository, label, keyring, VerifyLevel.CHECKSUM)
            assert named(found) == [name.removeprefix(label.folder)], at
            must_be_met(repository, label, keyring, name)
        replace(repository, name, good)


def test_a_cut_or_longer_object_is_found_without_a_key(stored) -> None:
    repository, label, keyring = stored
    for name in [n for n in names(repository, label.folder) if "json" not in n]:
        good = read(repository, name)
        for other in (good[:-1], good[: len(good) // 2], b"", good + b"\0", good + good):
            replace(repository, name, other)
            found = verify(repository, label, Keyring(), VerifyLevel.EXISTS)
            assert named(found) == [name.removeprefix(label.folder)]
            must_be_met(repository, label, keyring, name)
        replace(repository, name, good)


def test_swapped_objects_are_found(stored) -> None:
    repository, label, keyring = stored
    data = [n for n in names(repository, label.folder) if "json" not in n]
    for first, second in zip(data, data[1:], strict=False):
        one, other = read(repository, first), read(repository, second)
        replace(repository, first, other)
        replace(repository, second, one)
        must_fail(repository, label, keyring, f"{first} and {second}")
        replace(repository, first, one)
        replace(repository, second, other)


def test_a_missing_volume_is_named_without_a_key(stored) -> None:
    repository, label, keyring = stored
    for name in [n for n in names(repository, label.folder) if "json" not in n]:
        good = read(repository, name)
        repository.storage.delete(name)
        found = verify(repository, label, Keyring(), VerifyLevel.EXISTS)
        assert named(found) == [name.removeprefix(label.folder)]
        must_be_met(repository, label, keyring, name)
        replace(repository, name, good)


def test_any_flipped_byte_of_the_manifest_is_found(stored) -> None:
    repository, label, keyring = stored
    good = read(repository, label.manifest)
    chance = random.Random(11)
    for at in {0, len(good) - 1, *chance.sample(range(len(good)), 60)}:
        bad = bytearray(good)
        bad[at] ^= 1 << chance.randrange(8)
        replace(repository, label.manifest, bytes(bad))
        found = verify(repository, label, Keyring(), VerifyLevel.EXISTS).findings
        assert [finding.where for finding in found] == ["manifest.json"], at
        with pytest.raises(IntegrityError):
            restore(repository, label, keyring)


@pytest.mark.parametrize("level", [VerifyLevel.CHECKSUM, VerifyLevel.SAMPLED, VerifyLevel.CONTENT])
@pytest.mark.parametrize("place", ["b/", "keys-mirror/"])
def test_a_keys_object_that_is_damaged_or_missing_is_named_though_the_other_opens(
    level: VerifyLevel, place: str
) -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, MEMBERS, keyring).manifest.label
    name = next(n for n in names(repository, place) if n.endswith(".000001.json"))
    good = read(repository, name)
    for at in random.Random(3).sample(range(len(good)), 20):
        bad = bytearray(good)
        bad[at] ^= 1
        replace(repository, name, bytes(bad))
        result = verify(repository, label, keyring, level)
        assert result.ok and any(name in warning for warning in result.warnings), at
    repository.storage.delete(name)

    assert f"{name} is missing" in verify(repository, label, keyring, level).warnings


def test_objects_of_another_backup_are_refused() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    first = make_backup(repository, MEMBERS, keyring).manifest.label
    second = make_backup(repository, MEMBERS, keyring).manifest.label
    for name in [n for n in names(repository, first.folder) if "json" not in n]:
        good = read(repository, name)
        replace(repository, name, read(repository, name.replace(str(first), str(second))))
        must_be_met(repository, first, keyring, name)
        replace(repository, name, good)


def test_a_manifest_copied_to_another_place_is_refused() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    first = make_backup(repository, MEMBERS, keyring).manifest.label
    second = make_backup(repository, MEMBERS, keyring).manifest.label
    replace(repository, second.manifest, read(repository, first.manifest))

    found = verify(repository, second, keyring, VerifyLevel.EXISTS).findings

    assert [finding.error.code for finding in found] == ["ManifestInvalid"]


def test_a_copy_in_a_foreign_repository_is_flagged() -> None:
    _, keyring = make_keys()
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, MEMBERS, keyring).manifest.label
    for name in names(home, label.folder):
        replace(away, name, read(home, name))

    warnings = verify(away, label, keyring, VerifyLevel.CONTENT).warnings

    assert any("copy" in warning for warning in warnings)


def test_content_alone_is_never_reported_as_a_restore() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, MEMBERS, keyring).manifest.label

    assert verify(repository, label, keyring, VerifyLevel.RESTORE).level is VerifyLevel.CONTENT


class BadDisk(MemoryStorage):
    """A storage that raises `error` where volumes are read."""

    error: StorageError | None = None

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        if self.error and ".zst.cvb" in name:
            raise self.error
        return super().open(name, offset, length)


@pytest.mark.parametrize("level", [VerifyLevel.CHECKSUM, VerifyLevel.SAMPLED, VerifyLevel.CONTENT])
def test_objects_that_the_disk_cannot_read_are_all_named(level: VerifyLevel) -> None:
    _, keyring = make_keys()
    storage = BadDisk()
    repository = make_repository(storage=storage)
    label = make_backup(repository, MEMBERS, keyring).manifest.label

    storage.error = StorageError("input/output error")
    named = [finding.where for finding in verify(repository, label, keyring, level).findings]
    storage.error = StorageUnavailable("no answer")

    assert [where.removesuffix(".zst.cvb") for where in named] == list(MEMBERS)
    with pytest.raises(StorageUnavailable):
        verify(repository, label, keyring, level)


def test_sampling_finds_a_volume_of_which_most_is_damaged(stored) -> None:
    repository, label, keyring = stored
    name = next(n for n in names(repository, label.folder) if "dump.bin" in n and ".index" not in n)
    good = read(repository, name)
    replace(repository, name, good[:96] + bytes(len(good) - 96))

    assert not verify(repository, label, keyring, VerifyLevel.SAMPLED).ok


class CountingStorage(MemoryStorage):
    """Counts how often a manifest is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.manifests = 0

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        self.manifests += name.endswith("manifest.json")
        return super().open(name, offset, length)


@pytest.mark.parametrize(
    "level", [VerifyLevel.EXISTS, VerifyLevel.CHECKSUM, VerifyLevel.SAMPLED, VerifyLevel.CONTENT]
)
def test_the_manifest_is_read_once(level: VerifyLevel) -> None:
    _, keyring = make_keys()
    storage = CountingStorage()
    repository = make_repository("first", storage)
    label = make_backup(repository, MEMBERS, keyring).manifest.label
    storage.manifests = 0
    assert verify(repository, label, keyring, level).ok
    assert storage.manifests == 1
    storage.manifests = 0
    restore(repository, label, keyring)
    assert storage.manifests == 1
