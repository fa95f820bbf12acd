"""The frame index: packed form, strictness, positions."""

from __future__ import annotations

import pytest

from covetbackup.core.errors import NotAnArchive, Tampered, Truncated
from covetbackup.core.stream.frames import FrameIndex


def index_of(*lengths: tuple[int, int]) -> FrameIndex:
    index = FrameIndex()
    for compressed_bytes, plain_bytes in lengths:
        index.append(compressed_bytes, plain_bytes)
    return index


def test_the_packed_form_is_the_documented_one():
    packed = index_of((1000, 4 << 20), (7, 1)).to_bytes()
    assert packed.hex() == (
        "434f564554495831" + "0000000000000002" + "000003e800400000" + "0000000700000001"
    )
    assert list(FrameIndex.from_bytes(packed)) == [(1000, 4 << 20), (7, 1)]


def test_a_terabyte_takes_eight_bytes_for_each_frame():
    index = index_of(*[(1_400_000, 4 << 20)] * 10_000)
    assert len(index.to_bytes()) == 16 + 8 * 10_000


def test_every_cut_of_the_packed_form_is_refused():
    packed = index_of((10, 20), (30, 40)).to_bytes()
    for size in range(len(packed)):
        with pytest.raises(Truncated):
            FrameIndex.from_bytes(packed[:size])


def test_more_than_its_frames_is_refused():
    with pytest.raises(Tampered):
        FrameIndex.from_bytes(index_of((10, 20)).to_bytes() + b"\0")


def test_another_magic_or_version_is_refused():
    packed = index_of((10, 20)).to_bytes()
    with pytest.raises(NotAnArchive):
        FrameIndex.from_bytes(b"COVETIX2" + packed[8:])


@pytest.mark.parametrize(
    "lengths",
    [
        [(0, 10)],
        [(10, (16 << 20) + 1)],
        [(1 << 31, 10)],
        [(10, 10), (10, 0)],
    ],
    ids=["no bytes", "plain too long", "compressed too long", "empty frame in the middle"],
)
def test_lengths_that_no_writer_makes_are_refused(lengths):
    packed = b"COVETIX1" + len(lengths).to_bytes(8, "big")
    packed += b"".join(a.to_bytes(4, "big") + b.to_bytes(4, "big") for a, b in lengths)
    with pytest.raises(Tampered):
        FrameIndex.from_bytes(packed)


def test_an_empty_stream_is_one_empty_frame():
    index = FrameIndex.from_bytes(index_of((13, 0)).to_bytes())
    assert list(index) == [(13, 0)]
