"""Codecs: which there are, how they are written down, and compression into parallel frames.

Every codec turns blocks of plain bytes into self-contained frames; their concatenation is what
the stock tool (`zstd`, `gzip`, `bzip2`, `xz`) reads. Decoding is in `decode`.
"""

from __future__ import annotations

import bz2
import lzma
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum

import zstandard
from isal import isal_zlib
from zlib_ng import zlib_ng

from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.blocks import Block, BlockPool, blocks, map_ordered, pieces
from covetbackup.core.stream.frames import FrameIndex

_BLOCK_BYTES = 4 << 20  # smaller frames cost ratio, larger ones memory: 1.001 of one stream's size
_LONG_BLOCK_BYTES = 16 << 20  # xz and the top zstd levels find repetitions far beyond 4 MiB
_LONG_ZSTD_LEVEL = 17
_ISAL_LEVELS = range(1, 4)
_GZIP_WBITS = 31


class Codec(StrEnum):
    """The compression formats; the values are what manifests and command lines say."""

    NONE = "none"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    LZMA = "lzma"
    ZSTD = "zstd"


_SUFFIXES = {
    Codec.NONE: "",
    Codec.GZIP: ".gz",
    Codec.BZIP2: ".bz2",
    Codec.LZMA: ".xz",
    Codec.ZSTD: ".zst",
}
_LEVELS = {
    Codec.NONE: range(0, 1),
    Codec.GZIP: range(1, 10),
    Codec.BZIP2: range(1, 10),
    Codec.LZMA: range(0, 10),
    Codec.ZSTD: range(1, 23),
}
_DEFAULT_LEVELS = {
    Codec.NONE: 0,
    Codec.GZIP: 6,
    Codec.BZIP2: 9,
    Codec.LZMA: 6,
    Codec.ZSTD: 3,
}


@dataclass(frozen=True, slots=True)
class CodecSpec:
    """A codec and its level; `str` gives back what `parse` reads, level always included."""

    codec: Codec
    level: int

    def __post_init__(self) -> None:
        levels = _LEVELS[self.codec]
        if self.level not in levels:
            raise BadSetting(
                f"{self.codec} has no level {self.level}",
                hint=f"choose a level from {levels[0]} to {levels[-1]}",
            )

    def __str__(self) -> str:
        return self.codec.value if self.codec is Codec.NONE else f"{self.codec}:{self.level}"

    @classmethod
    def parse(cls, text: str) -> CodecSpec:
        """Read "zstd", "zstd:3", "none" …; raises `BadSetting` for anything else."""
        name, colon, level = text.partition(":")
        if name not in list(Codec):
            raise BadSetting(f"{text[:40]!r} is not a codec", hint=f"one of: {', '.join(Codec)}")
        codec = Codec(name)
        if not colon:
            return cls(codec, _DEFAULT_LEVELS[codec])
        if codec is Codec.NONE or not (level.isascii() and level.isdigit() and len(level) <= 2):
            raise BadSetting(f"{text[:40]!r} is not a codec and level", hint="such as zstd:3")
        return cls(codec, int(level))

    @property
    def suffix(self) -> str:
        """The file name suffix that the stock tool expects, such as ".zst"; "" for none."""
        return _SUFFIXES[self.codec]

    @property
    def block_bytes(self) -> int:
        """Plain bytes in one frame (the last frame of a stream may hold fewer)."""
        long = self.codec is Codec.LZMA or (
            self.codec is Codec.ZSTD and self.level >= _LONG_ZSTD_LEVEL
        )
        return _LONG_BLOCK_BYTES if long else _BLOCK_BYTES


def compress(spec: CodecSpec, *, workers: int, frames: FrameIndex) -> Filter:
    """Return a filter that compresses in `workers` threads and notes frame lengths in `frames`.

    At most `workers + 2` blocks are in memory. An empty stream becomes one empty frame, so the
    stock tool makes an empty file of it; codec none passes bytes on and notes no frames. Output
    depends on `spec` and the input only, never on `workers` or on how the input was cut.
    """
    if spec.codec is Codec.NONE:
        return identity

    def apply(chunks: Iterator[bytes]) -> Iterator[bytes]:
        return _compressed(chunks, spec, workers, frames)

    return apply


def identity(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of at most 1 MiB: codec none, in both directions."""
    for chunk in chunks:
        yield from pieces(chunk)


def _compressed(
    chunks: Iterator[bytes], spec: CodecSpec, workers: int, frames: FrameIndex
) -> Iterator[bytes]:
    pool = BlockPool(spec.block_bytes)
    encode = encoder(spec)

    def work(block: Block) -> bytes:
        return encode(block.view())

    with closing(map_ordered(blocks(chunks, pool), work, workers=workers)) as results:
        for result in results:
            if result is None:
                yield b""
                continue
            block, frame = result
            frames.append(len(frame), block.size)
            pool.give_back(block)
            yield from pieces(frame)


def encoder(spec: CodecSpec) -> Callable[[memoryview], bytes]:
    """Return a thread-safe function that compresses one block into one frame."""
    level = spec.level
    match spec.codec:
        case Codec.ZSTD:
            return _zstd_encoder(level)
        case Codec.GZIP if level in _ISAL_LEVELS:
            return lambda block: isal_zlib.compress(block, level, _GZIP_WBITS)
        case Codec.GZIP:
            return lambda block: zlib_ng.compress(block, level, _GZIP_WBITS)
        case Codec.BZIP2:
            return lambda block: bz2.compress(block, level)
        case Codec.LZMA:
            return lambda block: lzma.compress(
                block, lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=level
            )
        case Codec.NONE:
            return bytes


def _zstd_encoder(level: int) -> Callable[[memoryview], bytes]:
    """One compressor for each thread: it is not thread-safe, and costs 6 to 90 MiB to set up."""
    local = threading.local()

    def encode(block: memoryview) -> bytes:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(
                level=level, write_checksum=True, write_content_size=True
            )
        frame: bytes = local.compressor.compress(block)
        return frame

    return encode
