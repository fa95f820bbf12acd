"""Bounds: memory of decoding a bomb, blocks in flight, threads of an abandoned stream."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
import zstandard

from covetbackup.core.errors import SourceFailed, TooLarge
from covetbackup.core.stream.blocks import map_ordered
from covetbackup.core.stream.codec import Codec, CodecSpec, compress
from covetbackup.core.stream.decode import decompress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.pump import filtered, pump
from tests.support.paths import ROOT
from tests.support.streams import MemorySink, nothing_left, source_of

MIB = 1 << 20

DECODES = """
import sys
from covetbackup.core.stream.codec import Codec
from covetbackup.core.stream.decode import decompress
def peak():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
def data():
    while piece := sys.stdin.buffer.read(1 << 20):
        yield piece
decode = decompress(Codec(sys.argv[1]), frames=None, workers=1)
open("/proc/self/clear_refs", "w").write("5")
before = peak()
size = sum(map(len, decode(data())))
print(size // (1 << 20), peak() - before)
"""


@pytest.fixture(autouse=True)
def _nothing_left():
    with nothing_left():
        yield


def zeros(tool: list[str], mebibytes: int) -> bytes:
    make = subprocess.Popen(["head", "-c", f"{mebibytes}M", "/dev/zero"], stdout=subprocess.PIPE)
    with make, make.stdout as plain:
        return subprocess.run(tool, stdin=plain, capture_output=True, check=True).stdout


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (512 * MIB, 512 * MIB))


@pytest.mark.parametrize(
    ("codec", "tool", "mebibytes"),
    [
        ("zstd", ["zstd", "-3", "-c"], 1024),
        ("zstd", ["zstd", "-19", "--long=27", "-T1", "-c"], 256),
        ("gzip", ["gzip", "-9", "-c"], 128),
        ("bzip2", ["bzip2", "-9", "-c"], 64),
        ("lzma", ["xz", "-0", "-c"], 96),
    ],
    ids=["zstd 1 GiB", "zstd with a 128 MiB window", "gzip", "bzip2", "lzma"],
)
def test_a_bomb_is_decoded_in_bounded_memory(codec, tool, mebibytes):
    bomb = zeros(tool, mebibytes)
    assert len(bomb) < MIB * mebibytes / 300
    done = subprocess.run(
        [sys.executable, "-c", DECODES, codec],
        input=bomb,
        capture_output=True,
        check=True,
        cwd=ROOT,
        preexec_fn=limit_memory,
    )
    size, growth = map(int, done.stdout.split())
    assert size == mebibytes
    assert growth < (64 if "--long=27" not in tool else 192)


def test_a_frame_that_holds_more_than_declared_is_stopped_at_once():
    bomb = zeros(["zstd", "-3", "-c"], 256)
    frames = FrameIndex()
    frames.append(len(bomb), 1000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            list(decompress(Codec.ZSTD, frames=frames, workers=2)(iter([bomb])))
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_a_frame_that_says_itself_that_it_holds_more_than_declared_reserves_no_memory():
    bomb = zstandard.ZstdCompressor().compress(bytes(256 * MIB))
    frames = FrameIndex()
    frames.append(len(bomb), 1000)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            list(decompress(Codec.ZSTD, frames=frames, workers=2)(iter([bomb])))
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_zeros_cost_little_memory_to_compress():
    frames = FrameIndex()
    compressed = compress(CodecSpec.parse("zstd:1"), workers=2, frames=frames)
    size = sum(map(len, compressed(bytes(MIB) for _ in range(256))))
    assert size < MIB
    assert sum(plain for _, plain in frames) == 256 * MIB


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_two_items_beyond_the_workers_are_in_flight(workers):
    taken, given = 0, 0
    most = 0

    def items():
        nonlocal taken, most
        for number in range(50):
            taken += 1
            most = max(most, taken - given)
            yield number

    def slow(number):
        time.sleep(random.Random(number).random() / 100)
        return number

    for number, result in map_ordered(items(), slow, workers=workers):
        given += 1
        assert number == result == given - 1
    assert given == 50
    assert most <= workers + 2


def test_the_first_error_in_order_wins():
    def work(number):
        if number >= 5:
            time.sleep(0.05 if number == 5 else 0)
            raise ValueError(number)
        return number

    results = map_ordered(iter(range(20)), work, workers=4)
    assert [next(results)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="^5$"):
        next(results)


def test_a_slow_block_lets_the_consumer_notice_a_cancel():
    slow = map_ordered(iter([1]), lambda number: time.sleep(1.5), workers=1)
    assert next(slow) is None
    assert next(slow) == (1, None)
    assert list(slow) == []


def test_an_abandoned_compressor_leaves_no_thread():
    data = random.Random(1).randbytes(MIB)
    compressed = compress(CodecSpec.parse("zstd:3"), workers=3, frames=FrameIndex())
    with filtered(source_of(data for _ in range(60)), [compressed]) as pieces:
        next(piece for piece in pieces if piece)
        assert any(thread.name.startswith("blocks") for thread in threading.enumerate())
    assert not any(thread.name.startswith("blocks") for thread in threading.enumerate())


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec is not Codec.NONE])
def test_a_source_that_dies_reaches_the_sink_through_every_codec(codec):
    sink = MemorySink()
    compressed = compress(CodecSpec.parse(codec), workers=2, frames=FrameIndex())
    with pytest.raises(SourceFailed, match="lost"):
        pump(source_of([bytes(MIB)] * 9, then=SourceFailed("lost")), [compressed], sink)
    assert sink.was_aborted


def test_an_idle_source_is_idle_through_compression_and_back():
    frames = FrameIndex()
    spec = CodecSpec.parse("zstd:3")
    packed = list(compress(spec, workers=1, frames=frames)(iter([b"", b"x", b""])))
    assert packed[0] == b""
    for index in (None, frames):
        read = list(decompress(Codec.ZSTD, frames=index, workers=1)(iter(packed)))
        assert read[0] == b""
        assert b"".join(read) == b"x"
