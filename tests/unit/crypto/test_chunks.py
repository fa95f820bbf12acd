"""What a sealed stream gives back, how large it is, and when its end flag is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from covetbackup.core.crypto.chunks import PIECE_LIMIT, FinalFlag, StreamId, decrypt, encrypt
from covetbackup.core.crypto.header import (
    HEADER_SIZE,
    INDEX_VOLUME,
    Header,
    object_number,
    plausible_size,
)
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import BadSetting, Cancelled, SourceFailed, Truncated
from tests.unit.crypto.streams import (
    CHUNK,
    CHUNK_LOG2,
    DEK,
    STREAM,
    encrypted,
    object_size,
    opened,
    plain_bytes,
)

SIZES = [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK, 5 * CHUNK + 77]


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("size", SIZES)
def test_every_length_comes_back_and_has_the_size_foretold(suite: Suite, size: int) -> None:
    plain = plain_bytes(size)
    data = encrypted(plain, suite)
    assert opened(data) == plain
    assert len(data) == object_size(size, suite)
    assert plausible_size(len(data), suite, CHUNK_LOG2)


@settings(max_examples=60, deadline=None)
@given(suite=st.sampled_from(Suite), cuts=st.lists(st.integers(0, 9000), max_size=12))
def test_how_a_stream_is_cut_into_pieces_does_not_matter(suite: Suite, cuts: list[int]) -> None:
    plain = plain_bytes(9000)
    filter_ = encrypt(DEK, STREAM, suite=suite, last=lambda: FinalFlag.END, chunk_log2=CHUNK_LOG2)
    data = b"".join(filter_(_cut(plain, cuts)))
    assert len(data) == object_size(len(plain), suite)
    assert b"".join(decrypt(DEK, STREAM, expect=FinalFlag.END)(_cut(data, cuts))) == plain


@pytest.mark.parametrize("suite", Suite)
def test_the_largest_chunks_come_back_in_pieces_of_at_most_a_mebibyte(suite: Suite) -> None:
    plain = plain_bytes(1 << 20) * 17
    filter_ = encrypt(DEK, STREAM, suite=suite, last=lambda: FinalFlag.END, chunk_log2=24)
    pieces = list(decrypt(DEK, STREAM, expect=FinalFlag.END)(filter_(iter([plain]))))
    assert max(map(len, pieces)) <= PIECE_LIMIT
    assert b"".join(pieces) == plain


@pytest.mark.parametrize("error", [SourceFailed("pg_dump exited with 1"), Cancelled()], ids=repr)
def test_a_source_that_fails_leaves_no_last_chunk(error: BaseException) -> None:
    asked = []

    def source() -> Iterator[bytes]:
        yield plain_bytes(CHUNK + 5)
        raise error

    def last() -> FinalFlag:
        asked.append(True)
        return FinalFlag.END

    written = b""
    with pytest.raises(type(error)):
        for piece in encrypt(DEK, STREAM, suite=Suite.AES_256_GCM, last=last, chunk_log2=12)(
            source()
        ):
            written += piece
    assert not asked
    with pytest.raises(Truncated):
        opened(written)


def test_a_sink_that_dies_gets_no_last_chunk() -> None:
    def last() -> FinalFlag:
        raise AssertionError("the end was asked for")

    stream = encrypt(DEK, STREAM, suite=Suite.AES_256_GCM, last=last, chunk_log2=CHUNK_LOG2)(
        iter([plain_bytes(2 * CHUNK)])
    )
    written = next(stream) + next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert next(stream, None) is None
    with pytest.raises(Truncated):
        opened(written)


def test_the_end_flag_is_asked_for_after_the_input_ended() -> None:
    flag = FinalFlag.END

    def source() -> Iterator[bytes]:
        nonlocal flag
        yield b"rows"
        flag = FinalFlag.MORE

    filter_ = encrypt(DEK, STREAM, suite=Suite.AES_256_GCM, last=lambda: flag)
    decryption = decrypt(DEK, STREAM, expect=None)
    assert b"".join(decryption(filter_(source()))) == b"rows"
    assert decryption.last is FinalFlag.MORE


def test_two_objects_of_the_same_bytes_share_no_chunk() -> None:
    one, two = (encrypted(b"rows" * 5000, Suite.AES_256_GCM) for _ in range(2))
    assert one[HEADER_SIZE:] != two[HEADER_SIZE:]
    assert Header.parse(one).salt != Header.parse(two).salt


@pytest.mark.parametrize("suite", Suite)
def test_a_clean_cut_is_seen_from_the_size_alone(suite: Suite) -> None:
    size = suite.encrypted_size(CHUNK)
    for chunks in range(11):
        assert not plausible_size(HEADER_SIZE + chunks * size, suite, CHUNK_LOG2)
    assert not plausible_size(0, suite, CHUNK_LOG2)
    assert not plausible_size(HEADER_SIZE - 1, suite, CHUNK_LOG2)


@pytest.mark.parametrize("chunk_log2", [11, 25])
def test_chunk_sizes_out_of_bounds_are_refused(chunk_log2: int) -> None:
    filter_ = encrypt(
        DEK, STREAM, suite=Suite.AES_256_GCM, last=lambda: FinalFlag.END, chunk_log2=chunk_log2
    )
    with pytest.raises(BadSetting):
        next(filter_(iter([b""])))


def test_object_numbers_name_member_and_volume() -> None:
    assert object_number(3, 2) == 3 << 16 | 2
    assert str(StreamId(bytes(16), object_number(3, INDEX_VOLUME))).startswith("member 3 index")
    with pytest.raises(BadSetting):
        object_number(0x10000, 0)
    with pytest.raises(BadSetting):
        StreamId(bytes(15), 0)


def _cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return iter([data[a:b] for a, b in zip(edges, edges[1:], strict=False)])
