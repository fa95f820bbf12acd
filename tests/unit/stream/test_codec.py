"""Codecs: exact round trips, stock tools, and no damage taken for a whole stream."""

from __future__ import annotations

import hashlib
import random
import subprocess

import pytest

from covetbackup.core.errors import (
    BadSetting,
    IntegrityError,
    NotAnArchive,
    Tampered,
    TooLarge,
    Truncated,
)
from covetbackup.core.stream.codec import Codec, CodecSpec, compress
from covetbackup.core.stream.decode import decompress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.meter import VerifyDigest
from tests.support.streams import nothing_left

MIB = 1 << 20
COMPRESSING = [codec for codec in Codec if codec is not Codec.NONE]
TOOLS = {Codec.GZIP: "gzip", Codec.BZIP2: "bzip2", Codec.LZMA: "xz", Codec.ZSTD: "zstd"}
ROWS = b"".join(b"%d\trow %x of a table\n" % (i, i * i) for i in range(3_000))
SPECS = ["gzip:1", "gzip:2", "gzip:3", "gzip:6", "bzip2:1", "lzma:0", "zstd:1", "zstd:3"]


@pytest.fixture(autouse=True)
def _nothing_left():
    with nothing_left():
        yield


def packed(data: bytes, spec: str, *, workers: int = 2) -> tuple[bytes, FrameIndex]:
    frames = FrameIndex()
    filtered = compress(CodecSpec.parse(spec), workers=workers, frames=frames)
    return b"".join(filtered(cut(data, 300_000))), frames


def unpacked(data: bytes, codec: Codec, frames: FrameIndex | None = None) -> bytes:
    return b"".join(decompress(codec, frames=frames, workers=2)(cut(data, 100_000)))


def cut(data: bytes, size: int):
    yield from (data[start : start + size] for start in range(0, len(data), size))


def expected(data: bytes) -> VerifyDigest:
    return VerifyDigest(len(data), hashlib.sha256(data).hexdigest(), "dump")


def pattern(size: int) -> bytes:
    return (ROWS * (size // len(ROWS) + 1))[:size]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("zstd", "zstd:3"),
        ("gzip", "gzip:6"),
        ("bzip2", "bzip2:9"),
        ("lzma", "lzma:6"),
        ("none", "none"),
        ("zstd:22", "zstd:22"),
        ("lzma:0", "lzma:0"),
    ],
)
def test_a_codec_is_read_and_written_back_with_its_level(text, written):
    spec = CodecSpec.parse(text)
    assert str(spec) == written
    assert CodecSpec.parse(written) == spec


@pytest.mark.parametrize(
    "text",
    ["", "zst", "ZSTD", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "zstd:3.0", "zstd:٣", "zstd: 3"]
    + ["gzip:0", "gzip:10", "bzip2:0", "lzma:10", "none:0", "none:", "zstd:3:4", "zstd:003"],
)
def test_anything_else_is_not_a_codec(text):
    with pytest.raises(BadSetting):
        CodecSpec.parse(text)


def test_suffixes_are_those_of_the_stock_tools():
    suffixes = {str(codec): CodecSpec.parse(codec).suffix for codec in Codec}
    assert suffixes == {"none": "", "gzip": ".gz", "bzip2": ".bz2", "lzma": ".xz", "zstd": ".zst"}


def test_long_range_codecs_get_long_blocks():
    sizes = {text: CodecSpec.parse(text).block_bytes // MIB for text in ("zstd:16", "zstd:17")}
    assert sizes == {"zstd:16": 4, "zstd:17": 16}
    assert CodecSpec.parse("lzma:1").block_bytes == 16 * MIB


@pytest.mark.parametrize(
    ("spec", "blocks"),
    [(spec, blocks) for spec in [*SPECS, "none"] for blocks in (0, 1)]
    + [(spec, 3) for spec in ("gzip:1", "gzip:6", "zstd:1")],
)
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_every_length_around_a_block_comes_back_exactly(spec, blocks, more):
    block = CodecSpec.parse(spec).block_bytes
    data = pattern(max(0, blocks * block + more))
    archive, frames = packed(data, spec)
    codec = CodecSpec.parse(spec).codec
    assert unpacked(archive, codec) == data
    assert unpacked(archive, codec, frames) == data
    if codec is not Codec.NONE:
        assert sum(plain for _, plain in frames) == len(data)
        assert sum(compressed for compressed, _ in frames) == len(archive)
        assert len(frames) == max(1, -(-len(data) // block))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("size", [0, 1, 9 * MIB], ids=["empty", "one byte", "three frames"])
def test_the_stock_tool_reads_the_concatenated_frames(spec, size):
    data = pattern(size)
    archive, _ = packed(data, spec)
    tool = TOOLS[CodecSpec.parse(spec).codec]
    read = subprocess.run([tool, "-dc"], input=archive, capture_output=True, check=True)
    assert read.stdout == data


@pytest.mark.parametrize("codec", COMPRESSING)
def test_what_the_stock_tool_writes_is_read(codec):
    data = pattern(MIB)
    written = subprocess.run([TOOLS[codec], "-c"], input=data, capture_output=True, check=True)
    assert unpacked(written.stdout * 2, codec) == data * 2


@pytest.mark.parametrize("spec", SPECS)
def test_the_archive_depends_on_neither_workers_nor_pieces(spec):
    data = pattern(5 * MIB)
    one, _ = packed(data, spec, workers=1)
    frames = FrameIndex()
    filtered = compress(CodecSpec.parse(spec), workers=3, frames=frames)
    assert b"".join(filtered(iter([b"", data[:1], b"", data[1:]]))) == one


@pytest.mark.parametrize("spec", [*SPECS, "none"])
def test_no_piece_is_larger_than_a_mebibyte_either_way(spec):
    codec = CodecSpec.parse(spec).codec
    data = random.Random(1).randbytes(2 * MIB) + bytes(7 * MIB)
    frames = FrameIndex()
    written = list(compress(CodecSpec.parse(spec), workers=2, frames=frames)(iter([data])))
    assert max(map(len, written)) <= MIB
    for index in (None, frames):
        read = list(decompress(codec, frames=index, workers=2)(iter([b"".join(written)])))
        assert max(map(len, read)) <= MIB
        assert b"".join(read) == data


def test_incompressible_bytes_grow_by_less_than_a_thousandth():
    data = random.Random(2).randbytes(MIB)
    for spec in ("zstd:3", "gzip:1", "gzip:6", "lzma:0"):
        assert len(packed(data, spec)[0]) < len(data) * 1.001
    assert len(packed(data, "bzip2:9")[0]) < len(data) * 1.01  # the algorithm's own bound


@pytest.mark.parametrize("codec", COMPRESSING)
def test_every_cut_inside_a_frame_is_refused(codec):
    archive, frames = packed(pattern(3000), str(codec))
    for size in range(len(archive)):
        with pytest.raises(Truncated):
            unpacked(archive[:size], codec)
        with pytest.raises(Truncated):
            unpacked(archive[:size], codec, frames)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_cut_between_frames_is_seen_by_the_index_and_by_the_digest(codec):
    data = pattern(2000)
    first, first_frame = packed(data[:1000], str(codec))
    second, second_frame = packed(data[1000:], str(codec))
    whole = FrameIndex()
    for length in (*first_frame, *second_frame):
        whole.append(*length)
    assert unpacked(first + second, codec, whole) == data
    with pytest.raises(Truncated):
        unpacked(first, codec, whole)
    with pytest.raises(Truncated):
        list(expected(data)(decompress(codec, frames=None, workers=1)(iter([first]))))


@pytest.mark.parametrize("codec", COMPRESSING)
def test_frames_swapped_repeated_or_dropped_are_seen_by_the_digest(codec):
    data = pattern(2000)
    first, _ = packed(data[:1000], str(codec))
    second, _ = packed(data[1000:], str(codec))
    for damaged in (second + first, first + first, first + second + second, second):
        with pytest.raises(IntegrityError):
            list(expected(data)(decompress(codec, frames=None, workers=1)(iter([damaged]))))


@pytest.mark.parametrize("with_index", [False, True], ids=["sequential", "indexed"])
@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_flipped_byte_never_gives_other_bytes(codec, with_index):
    data = pattern(1500)
    archive, frames = packed(data, str(codec))
    refused = 0
    for place in range(len(archive)):
        damaged = bytearray(archive)
        damaged[place] ^= 0xFF
        try:
            chunks = iter([bytes(damaged)])
            read = decompress(codec, frames=frames if with_index else None, workers=1)(chunks)
            assert b"".join(expected(data)(read)) == data
        except IntegrityError:
            refused += 1
    # What passes are bytes that mean nothing: time stamp and system in a gzip header, padding.
    assert refused >= len(archive) - 7


@pytest.mark.parametrize("with_index", [False, True], ids=["sequential", "indexed"])
@pytest.mark.parametrize("junk", [b"\0", b"junk", bytes(512)], ids=["zero", "text", "zeros"])
@pytest.mark.parametrize("codec", COMPRESSING)
def test_junk_after_the_end_is_refused(codec, junk, with_index):
    archive, frames = packed(pattern(1000), str(codec))
    with pytest.raises((Tampered, Truncated)):
        unpacked(archive + junk, codec, frames if with_index else None)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_something_else_is_not_an_archive(codec):
    with pytest.raises(NotAnArchive, match=codec):
        unpacked(b"PGDMP something else", codec)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_damage_names_the_codec_and_the_frame(codec):
    archive, _ = packed(random.Random(3).randbytes(1000), str(codec))
    damaged = archive + archive[:40] + bytes(64) + archive[104:]
    with pytest.raises(Tampered, match=f"frame 1 of the {codec} stream"):
        unpacked(damaged, codec)


@pytest.mark.parametrize(("declared", "error"), [(999, TooLarge), (1001, Truncated)])
@pytest.mark.parametrize("codec", COMPRESSING)
def test_a_frame_holds_exactly_what_the_index_declares(codec, declared, error):
    archive, _ = packed(pattern(1000), str(codec))
    frames = FrameIndex()
    frames.append(len(archive), declared)
    with pytest.raises(error):
        unpacked(archive, codec, frames)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_an_index_that_cuts_elsewhere_is_refused(codec):
    archive, _ = packed(pattern(1000), str(codec))
    frames = FrameIndex()
    frames.append(len(archive) + 4, 1000)
    with pytest.raises(Tampered):
        unpacked(archive + b"junk", codec, frames)


@pytest.mark.parametrize("codec", COMPRESSING)
def test_an_index_without_frames_is_not_an_empty_stream(codec):
    with pytest.raises(Truncated):
        unpacked(b"", codec, FrameIndex())
