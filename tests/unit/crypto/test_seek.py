"""Random access gives the bytes that sequential reading gives, and refuses what it refuses."""

from __future__ import annotations

import random

import pytest

from covetbackup.core.crypto.chunks import FinalFlag
from covetbackup.core.crypto.header import HEADER_SIZE
from covetbackup.core.crypto.seek import SeekReader
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import BadSetting, CovetError, Tampered, Truncated
from tests.unit.crypto.streams import CHUNK, DEK, STREAM, encrypted, flipped, plain_bytes


def reader_of(data: bytes) -> SeekReader:
    return SeekReader(lambda at, length: data[at : at + length], len(data), DEK, STREAM)


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_any_range_reads_as_in_the_plain_bytes(suite: Suite, size: int) -> None:
    plain = plain_bytes(size)
    reader = reader_of(encrypted(plain, suite))
    assert (reader.plain_size, reader.chunk_count) == (size, size // CHUNK + 1)
    assert reader.last is FinalFlag.END
    choose = random.Random(size)
    ranges = [(choose.randint(0, size + 2), choose.randint(0, size + 9)) for _ in range(100)]
    for offset, length in [*ranges, (0, size), (max(size - 1, 0), 1), (size, 1)]:
        assert reader.read(offset, length) == plain[offset : offset + length]
    reader.sample(range(reader.chunk_count))


def test_a_range_is_fetched_by_one_call_and_small_reads_in_a_row_by_none() -> None:
    data = encrypted(plain_bytes(6 * CHUNK), Suite.AES_256_GCM)
    calls: list[tuple[int, int]] = []

    def read_range(at: int, length: int) -> bytes:
        calls.append((at, length))
        return data[at : at + length]

    reader = SeekReader(read_range, len(data), DEK, STREAM)
    calls.clear()
    reader.read(CHUNK + 1, 3 * CHUNK)
    size = Suite.AES_256_GCM.encrypted_size(CHUNK)
    assert calls == [(HEADER_SIZE + size, 4 * size)]
    reader.read(4 * CHUNK + 5, 100)
    assert len(calls) == 1


@pytest.mark.parametrize("suite", Suite)
def test_a_cut_or_grown_object_is_refused_before_any_range(suite: Suite) -> None:
    data = encrypted(plain_bytes(3 * CHUNK + 99), suite)
    size = suite.encrypted_size(CHUNK)
    for cut in [0, 50, HEADER_SIZE, HEADER_SIZE + size, len(data) - 1, len(data) - 40]:
        with pytest.raises(CovetError):
            reader_of(data[:cut])
    for more in (b"x", bytes(16), bytes(size), data[HEADER_SIZE : HEADER_SIZE + size], data):
        with pytest.raises((Truncated, Tampered)):
            reader_of(data + more)


def test_damage_is_found_by_reading_or_sampling_its_chunk_only() -> None:
    plain = plain_bytes(3 * CHUNK + 99)
    size = Suite.AES_256_GCM.encrypted_size(CHUNK)
    reader = reader_of(flipped(encrypted(plain, Suite.AES_256_GCM), (HEADER_SIZE + size + 5) * 8))
    reader.sample([0, 2, 3])
    assert reader.read(0, CHUNK) == plain[:CHUNK]
    with pytest.raises(Tampered, match="chunk 1"):
        reader.sample([1])
    with pytest.raises(Tampered, match="chunk 1"):
        reader.read(CHUNK, 1)


def test_a_short_answer_of_the_storage_is_truncation() -> None:
    data = encrypted(plain_bytes(2 * CHUNK), Suite.AES_256_GCM)
    limit = len(data)
    reader = SeekReader(lambda at, n: data[at : min(at + n, limit)], len(data), DEK, STREAM)
    limit = HEADER_SIZE + 10
    with pytest.raises(Truncated):
        reader.read(0, 10)


def test_ranges_and_chunks_that_cannot_exist_are_refused() -> None:
    reader = reader_of(encrypted(b"rows", Suite.AES_256_GCM))
    for offset, length in [(-1, 2), (0, -1)]:
        with pytest.raises(BadSetting):
            reader.read(offset, length)
    for number in (-1, 1):
        with pytest.raises(BadSetting):
            reader.sample([number])
