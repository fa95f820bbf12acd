"""Any range of a member is read as it would be cut out of the whole."""

from __future__ import annotations

import random

import pytest

from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import CovetError, Truncated
from covetbackup.core.repository.open_backup import OpenedBackup, open_backup
from covetbackup.core.repository.ranges import open_range
from covetbackup.core.repository.repository import BackupRepository
from tests.support.doubles import (
    make_backup,
    make_keys,
    make_repository,
    read,
    replace,
    sample_bytes,
)

DATA = sample_bytes(9_000_000)
STORED = [
    (Suite.AES_256_GCM, "zstd:1", 700_000),
    (Suite.AES_256_CBC_HMAC_SHA256, "gzip:1", 1_500_000),
    (Suite.AES_256_GCM, "none", 1_300_000),
    (None, "zstd:1", 1 << 40),
    (None, "none", 999_999),
]


@pytest.fixture(scope="module", params=STORED, ids=lambda each: f"{each[0] or 'plain'}-{each[1]}")
def stored(request: pytest.FixtureRequest) -> tuple[BackupRepository, OpenedBackup]:
    suite, codec, volume_size = request.param
    _, keyring = make_keys()
    repository = make_repository()
    made = make_backup(
        repository, {"dump": DATA}, keyring, suite=suite, codec=codec, volume_size=volume_size
    )
    return repository, open_backup(repository, made.manifest.label, keyring)


def range_of(stored: tuple[BackupRepository, OpenedBackup], offset: int, length: int) -> bytes:
    repository, opened = stored
    source = open_range(
        repository,
        opened.manifest,
        "dump",
        offset=offset,
        length=length,
        dek=opened.dek,
        workers=2,
    )
    with source as chunks:
        return b"".join(chunks)


def test_ranges_are_what_a_slice_is(stored: tuple[BackupRepository, OpenedBackup]) -> None:
    rng = random.Random(7)
    size = len(DATA)
    ranges = [(0, size), (0, 1), (size - 1, 1), (4 << 20, 5), ((4 << 20) - 3, 6)]
    ranges += [(at, rng.randrange(1, size - at)) for at in (rng.randrange(size - 1),) * 6]
    for offset, length in ranges:
        assert range_of(stored, offset, length) == DATA[offset : offset + length]


def test_a_range_beyond_the_end_is_an_error(stored: tuple[BackupRepository, OpenedBackup]) -> None:
    with pytest.raises(Truncated):
        range_of(stored, len(DATA) - 10, 11)


def test_a_changed_byte_in_the_range_is_found() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    made = make_backup(repository, {"dump": DATA}, keyring, suite=Suite.AES_256_GCM).manifest
    (volume,) = made.member("dump").volumes
    name = made.label.folder + volume.name
    changed = bytearray(read(repository, name))
    changed[len(changed) // 2] ^= 1
    replace(repository, name, bytes(changed))
    opened = open_backup(repository, made.label, keyring)
    with pytest.raises(CovetError):
        range_of((repository, opened), 0, len(DATA))
