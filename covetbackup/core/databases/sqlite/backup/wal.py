"""The write-ahead log file: the frame with the newest version of each page of one state.

Layout: https://sqlite.org/fileformat2.html section 4. The file is only read, and never locked.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from covetbackup.core.errors import SourceFailed

_HEADER = struct.Struct(">III4x8sII")
_FRAME = struct.Struct(">II8sII")
_MAGIC = 0x377F0682  # the lowest bit tells big-endian checksums
_READ_BYTES = 1 << 20
# The checksum costs 83 µs for a page of 4 KiB in Python: 64 MiB of log take 1.4 s of the snapshot's
# start. SQLite's own limit for a log is 4 MB unless a reader stands in its way; beyond ours only
# generation, end and final checksum are compared, as SQLite itself does when it trusts its index.
VERIFY_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Overlay:
    """The newest page versions of one state: page number (from 1) to byte offset in the log.

    Memory is bounded by the log's size: about 100 bytes for each changed page.
    """

    descriptor: int
    offsets: dict[int, int]


@dataclass(frozen=True, slots=True)
class WalState:
    """A committed state: the first `frames` frames of the log's generation `salts`.

    `pages`, the size of the database, and `checksums` are those of the last frame, as the WAL index
    has them. If `complete`, a checkpoint has copied all frames to the database file.
    """

    frames: int
    pages: int
    salts: bytes
    checksums: tuple[int, int]
    complete: bool

    @property
    def position(self) -> str:
        """The generation and the frame."""
        return f"{self.salts.hex()}:{self.frames}"


def read_overlay(descriptor: int, page_size: int, state: WalState) -> Overlay:
    """Index the first `state.frames` frames of the log open at `descriptor`.

    Raises `SourceFailed` if the log is shorter, of another generation or page size, if a running
    checksum fails, or if the last frame is not the commit that `state` describes.
    """
    big_endian, running = _read_header(descriptor, page_size, state)
    verify = state.frames * page_size <= VERIFY_BYTES
    offsets: dict[int, int] = {}
    for number, frame in enumerate(_frames(descriptor, page_size, state.frames), start=1):
        page, commit, salts, sum1, sum2 = _FRAME.unpack_from(frame)
        if verify:
            running = checksum(frame[:8], running, big_endian=big_endian)
            running = checksum(frame[_FRAME.size :], running, big_endian=big_endian)
        if salts != state.salts or page == 0 or (verify and running != (sum1, sum2)):
            raise _damaged(f"frame {number}")
        # Pages past the end belonged to a larger state that a vacuum has shrunk since.
        if page <= state.pages:
            offsets[page] = _offset(number, page_size) + _FRAME.size
    if commit != state.pages or (sum1, sum2) != state.checksums:
        raise _damaged(f"commit frame {state.frames}")
    return Overlay(descriptor=descriptor, offsets=offsets)


def checksum(
    data: bytes | memoryview, seed: tuple[int, int], *, big_endian: bool
) -> tuple[int, int]:
    """Return the running checksum of section 4.2 over `data`, a multiple of 8 bytes."""
    words = array("I", bytes(data))
    if big_endian != (sys.byteorder == "big"):
        words.byteswap()
    first, second = seed
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def read_exactly(descriptor: int, length: int, offset: int) -> bytes:
    """Return `length` bytes at `offset`.

    Raises `SourceFailed` at the end of the file or for a read error.
    """
    data = b""
    while len(data) < length:
        try:
            more = os.pread(descriptor, length - len(data), offset + len(data))
        except OSError as error:
            raise SourceFailed(
                f"reading failed: {error.strerror}", "is the disk healthy?"
            ) from error
        if not more:
            raise SourceFailed(
                f"a database file ended at byte {offset + len(data)} while it was read",
                "did another program truncate or replace it?",
            )
        data = data + more if data else more
    return data


def _read_header(descriptor: int, page_size: int, state: WalState) -> tuple[bool, tuple[int, int]]:
    header = read_exactly(descriptor, _HEADER.size, 0)
    magic, _version, size, salts, sum1, sum2 = _HEADER.unpack(header)
    big_endian = bool(magic & 1)
    seed = checksum(header[:24], (0, 0), big_endian=big_endian)
    if magic & ~1 != _MAGIC or size != page_size or seed != (sum1, sum2):
        raise _damaged("header")
    if salts != state.salts:
        raise _damaged("generation")
    return big_endian, seed


def _frames(descriptor: int, page_size: int, count: int) -> Iterator[memoryview]:
    frame_bytes = _FRAME.size + page_size
    at_once = max(1, _READ_BYTES // frame_bytes)
    for first in range(1, count + 1, at_once):
        number = min(at_once, count + 1 - first)
        block = read_exactly(descriptor, number * frame_bytes, _offset(first, page_size))
        view = memoryview(block)
        for start in range(0, len(block), frame_bytes):
            yield view[start : start + frame_bytes]


def _offset(number: int, page_size: int) -> int:
    return 32 + (number - 1) * (_FRAME.size + page_size)


def _damaged(part: str) -> SourceFailed:
    return SourceFailed(
        f"the write-ahead log does not match its index: {part}",
        "was the -wal file changed, or its disk damaged? run PRAGMA integrity_check on the source",
    )
