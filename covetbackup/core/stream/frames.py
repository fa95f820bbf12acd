"""The frame index: where each compressed frame of a stream begins and how much it holds.

It only makes reading faster: without it a stream is decoded from its beginning. Other layers store
it and prove it authentic.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator

from covetbackup.core.errors import NotAnArchive, Tampered, Truncated

MAX_PLAIN_BYTES = 16 << 20
"""No frame holds more: a reader may refuse a larger claim before it reserves memory."""

MAX_COMPRESSED_BYTES = MAX_PLAIN_BYTES + (MAX_PLAIN_BYTES >> 6) + (64 << 10)
"""No frame takes more: bzip2 grows random bytes most, by less than 1/64."""

_MAGIC = b"COVETIX1"
_HEADER = struct.Struct(">8sQ")
_PAIR_BYTES = 8


class FrameIndex:
    """The (compressed, plain) lengths in bytes of the frames of one stream, in order.

    8 bytes for each frame, so 2 MiB for a TiB in 4 MiB frames. Packed form, all integers
    big-endian: "COVETIX1", u64 count, then count times u32 compressed length, u32 plain length.
    """

    __slots__ = ("_compressed", "_plain")

    def __init__(self) -> None:
        self._compressed = array("I")
        self._plain = array("I")

    def __len__(self) -> int:
        return len(self._plain)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._compressed, self._plain, strict=True)

    def append(self, compressed_bytes: int, plain_bytes: int) -> None:
        """Note the next frame. Raises `Tampered` for lengths that no writer of ours makes."""
        is_possible = 0 < compressed_bytes <= MAX_COMPRESSED_BYTES
        is_allowed = 0 < plain_bytes <= MAX_PLAIN_BYTES or (plain_bytes == 0 and not self._plain)
        if not (is_possible and is_allowed):
            raise Tampered(
                f"frame {len(self)} claims {compressed_bytes} bytes for {plain_bytes} plain ones"
            )
        self._compressed.append(compressed_bytes)
        self._plain.append(plain_bytes)

    def to_bytes(self) -> bytes:
        """Return the packed form, which `from_bytes` reads."""
        pairs = array("I", bytes(_PAIR_BYTES * len(self)))
        pairs[0::2] = self._compressed
        pairs[1::2] = self._plain
        if sys.byteorder == "little":
            pairs.byteswap()
        return _HEADER.pack(_MAGIC, len(self)) + pairs.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameIndex:
        """Read the packed form.

        Raises `NotAnArchive` (other magic), `Truncated`, `Tampered` (too long, bad lengths).
        """
        if len(data) < _HEADER.size:
            raise Truncated("the frame index ends inside its header")
        magic, count = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise NotAnArchive("this is not a frame index that this version reads")
        pairs = data[_HEADER.size :]
        if len(pairs) < _PAIR_BYTES * count:
            raise Truncated(f"the frame index ends before its {count} frames are listed")
        if len(pairs) > _PAIR_BYTES * count:
            raise Tampered(f"the frame index goes on after its {count} frames")
        index = cls()
        for compressed_bytes, plain_bytes in struct.iter_unpack(">II", pairs):
            index.append(compressed_bytes, plain_bytes)
        return index
