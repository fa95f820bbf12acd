"""Damage to encrypted objects: nothing is accepted, and no wrong byte is released before the error.

Every suite goes through every kind of damage.
"""

from __future__ import annotations

import itertools

import pytest

from covetbackup.core.crypto.chunks import FinalFlag, StreamId, decrypt, nonce
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import HEADER_SIZE, Header
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import NotAnArchive, Tampered, Truncated, WrongKey
from tests.unit.crypto.streams import (
    BACKUP,
    CHUNK,
    DEK,
    STREAM,
    chunks_of,
    encrypted,
    flipped,
    opened,
    opened_volumes,
    plain_bytes,
    refusal,
)

PLAIN = plain_bytes(4 * CHUNK + 777)
OTHER_DEK = Dek(bytes(32))


@pytest.mark.parametrize("suite", Suite)
def test_each_of_the_768_header_bits_is_guarded(suite: Suite) -> None:
    data = encrypted(PLAIN, suite)
    for bit in range(HEADER_SIZE * 8):
        error = refusal(flipped(data, bit), PLAIN)
        assert isinstance(error, NotAnArchive | WrongKey | Tampered), bit
        if isinstance(error, Tampered):
            assert 12 <= bit // 8 < 32  # number and backup id: another object than asked for


@pytest.mark.parametrize("suite", Suite)
def test_bits_of_every_chunk_are_guarded_and_the_chunk_is_named(suite: Suite) -> None:
    data = encrypted(PLAIN, suite)
    size = suite.encrypted_size(CHUNK)
    for number, start in enumerate(range(HEADER_SIZE, len(data), size)):
        stop = min(start + size, len(data))
        places = {start, start + 7, start + 16, (start + stop) // 2, *range(stop - 33, stop)}
        for place, bit in itertools.product(places, (0, 7)):
            error = refusal(flipped(data, place * 8 + bit), PLAIN)
            assert isinstance(error, Tampered)
            assert f"chunk {number} (from byte {start} to {stop})" in error.message


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("plain", [PLAIN, PLAIN[: 4 * CHUNK], b""], ids=["short", "full", "empty"])
def test_a_stream_that_was_cut_anywhere_is_refused(suite: Suite, plain: bytes) -> None:
    data = encrypted(plain, suite)
    size = suite.encrypted_size(CHUNK)
    edges = {0, HEADER_SIZE, *range(HEADER_SIZE, len(data) + 1, size), len(data)}
    cuts = {edge + near for edge in edges for near in range(-66, 67)} | set(range(HEADER_SIZE))
    for cut in sorted(cut for cut in cuts if 0 <= cut < len(data)):
        assert isinstance(refusal(data[:cut], plain), Truncated | Tampered), cut
    for boundary in range(HEADER_SIZE, len(data), size):
        assert isinstance(refusal(data[:boundary], plain), Truncated)


def test_an_empty_object_is_truncated() -> None:
    assert isinstance(refusal(b"", b""), Truncated)


@pytest.mark.parametrize("suite", Suite)
def test_anything_after_the_end_is_refused(suite: Suite) -> None:
    data, size = encrypted(PLAIN, suite), suite.encrypted_size(CHUNK)
    header, chunks = chunks_of(data, suite)
    junk = [bytes(n) for n in (1, 15, 16, 32, 64, size - len(chunks[-1]), size, 3 * size)]
    archives = [data, encrypted(b"", suite), header]
    for more in [*junk, *chunks, *archives]:
        assert isinstance(refusal(data + more, PLAIN), Truncated | Tampered)


@pytest.mark.parametrize("suite", Suite)
def test_every_other_order_of_the_chunks_is_refused(suite: Suite) -> None:
    header, chunks = chunks_of(encrypted(PLAIN, suite), suite)
    numbers = range(len(chunks))
    orders = {order for n in (3, 4, 5) for order in itertools.permutations(numbers, n)}
    repeats = {(*numbers[: n + 1], n, *numbers[n + 1 :]) for n in numbers}
    for order in (orders | repeats) - {tuple(numbers)}:
        damaged = header + b"".join(chunks[n] for n in order)
        assert isinstance(refusal(damaged, PLAIN), Truncated | Tampered), order


@pytest.mark.parametrize("suite", Suite)
def test_chunks_of_a_sibling_with_the_same_key_are_refused(suite: Suite) -> None:
    data = encrypted(PLAIN, suite)
    header, chunks = chunks_of(data, suite)
    siblings = [
        encrypted(plain_bytes(len(PLAIN), "sibling"), suite),
        encrypted(PLAIN, suite),
        encrypted(PLAIN, suite, stream_id=StreamId(BACKUP, 1)),
        encrypted(PLAIN, suite, stream_id=StreamId(bytes(16), 0)),
    ]
    for sibling in siblings:
        their_header, theirs = chunks_of(sibling, suite)
        assert refusal(their_header + b"".join(chunks), PLAIN) is not None
        for n in range(len(chunks)):
            mixed = [*chunks[:n], theirs[n], *chunks[n + 1 :]]
            assert isinstance(refusal(header + b"".join(mixed), PLAIN), Tampered)


@pytest.mark.parametrize("suite", Suite)
def test_an_object_of_another_backup_or_role_is_named_as_such(suite: Suite) -> None:
    for other in (StreamId(BACKUP, 1), StreamId(BACKUP, 1 << 16), StreamId(bytes(16), 0)):
        error = refusal(encrypted(PLAIN, suite, stream_id=other), PLAIN)
        assert isinstance(error, Tampered)
        assert "object of another backup or role" in error.message


@pytest.mark.parametrize("suite", Suite)
def test_a_wrong_key_is_told_from_damage(suite: Suite) -> None:
    data = encrypted(PLAIN, suite)
    assert isinstance(refusal(data, PLAIN, dek=OTHER_DEK), WrongKey)
    assert isinstance(refusal(flipped(data, (HEADER_SIZE + 9) * 8), PLAIN), Tampered)


@pytest.mark.parametrize("suite", Suite)
def test_zeros_are_never_accepted(suite: Suite) -> None:
    data, size = encrypted(PLAIN, suite), suite.encrypted_size(CHUNK)
    assert isinstance(refusal(bytes(len(data)), PLAIN), NotAnArchive)
    assert refusal(data[:HEADER_SIZE] + bytes(len(data) - HEADER_SIZE), PLAIN) is not None
    for start in range(HEADER_SIZE, len(data), size):
        blank = data[:start] + bytes(min(size, len(data) - start)) + data[start + size :]
        assert isinstance(refusal(blank, PLAIN), Tampered)


@pytest.mark.parametrize(
    ("place", "value", "hint"),
    [(7, b"2", "newer"), (8, b"\x04", "newer"), (8, b"\0", "newer"), (10, b"\x80", "newer")],
    ids=["format", "suite", "suite zero", "flag"],
)
def test_what_needs_a_newer_version_is_not_guessed(place: int, value: bytes, hint: str) -> None:
    data = encrypted(PLAIN, Suite.AES_256_GCM)
    error = refusal(data[:place] + value + data[place + 1 :], PLAIN)
    assert isinstance(error, NotAnArchive)
    assert hint in error.hint


@pytest.mark.parametrize("suite", Suite)
def test_a_changed_suite_or_chunk_size_opens_nothing(suite: Suite) -> None:
    data = encrypted(PLAIN, suite)
    for wire in {1, 2, 3} - {suite.wire}:
        assert isinstance(refusal(data[:8] + bytes([wire]) + data[9:], PLAIN), WrongKey)
    for log2 in range(13, 25):
        assert isinstance(refusal(data[:9] + bytes([log2]) + data[10:], PLAIN), WrongKey)


@pytest.mark.parametrize("suite", Suite)
def test_volumes_must_be_complete_and_in_order(suite: Suite) -> None:
    parts = [plain_bytes(size, str(size)) for size in (CHUNK + 3, CHUNK, 2 * CHUNK, 5)]
    flags = [FinalFlag.MORE, FinalFlag.MORE, FinalFlag.MORE, FinalFlag.END]
    whole = [
        encrypted(part, suite, stream_id=StreamId(BACKUP, n), last=flag)
        for n, (part, flag) in enumerate(zip(parts, flags, strict=True))
    ]
    assert opened_volumes(whole) == b"".join(parts)
    numbers = range(len(whole))
    choices = {order for n in range(1, 5) for order in itertools.permutations(numbers, n)}
    repeats = {(*numbers[: n + 1], n, *numbers[n + 1 :]) for n in numbers}
    for order in (choices | repeats) - {tuple(numbers)}:
        with pytest.raises((Truncated, Tampered)):
            opened_volumes([whole[n] for n in order])


def test_an_extra_volume_of_our_own_is_refused() -> None:
    ended = encrypted(b"a", Suite.AES_256_GCM)
    extra = encrypted(b"b", Suite.AES_256_GCM, stream_id=StreamId(BACKUP, 1))
    with pytest.raises(Tampered, match="yet more follow"):
        opened_volumes([ended, extra])


def test_a_volume_that_announces_more_is_not_a_whole_object() -> None:
    data = encrypted(PLAIN[:10], Suite.AES_256_GCM, last=FinalFlag.MORE)
    with pytest.raises(Truncated, match="another volume"):
        opened(data)
    assert b"".join(decrypt(DEK, STREAM, expect=FinalFlag.MORE)(iter([data]))) == PLAIN[:10]


def test_the_last_chunk_of_a_wrongly_ended_object_is_not_released() -> None:
    data = encrypted(PLAIN, Suite.AES_256_GCM, last=FinalFlag.MORE)
    released = b""
    with pytest.raises(Truncated):
        for piece in decrypt(DEK, STREAM, expect=FinalFlag.END)(iter([data])):
            released += piece
    assert released == PLAIN[: 4 * CHUNK]


@pytest.mark.parametrize("suite", Suite)
def test_a_chunk_with_a_flag_that_does_not_fit_its_length_is_refused(suite: Suite) -> None:
    header, cipher = Header.create(DEK, STREAM, suite=suite, chunk_log2=12, salt=bytes(32))
    short, full = PLAIN[:9], PLAIN[:CHUNK]
    endless = header.encode() + cipher.encrypt_chunk(nonce(0, 0), short)
    assert isinstance(refusal(endless, short), Tampered)
    for flag in FinalFlag:
        full_end = header.encode() + cipher.encrypt_chunk(nonce(0, flag), full)
        assert isinstance(refusal(full_end, full), Tampered)
    unknown = header.encode() + cipher.encrypt_chunk(nonce(0, 3), short)
    assert isinstance(refusal(unknown, short), Tampered)
