"""The blocks in which data lies in an archive: their encoder, and a decoder fed as they arrive.

The block of a table is a byte 1, its dump id and its pieces, each after its length, up to a length
of 0. That of large objects is a byte 3, its dump id, and for each object its oid and its pieces as
before, up to an oid of 0. So a block may be written by several readers, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.archive.reader import INT_BYTES
from covetbackup.core.databases.postgresql.archive.writer import integer
from covetbackup.core.errors import Incomplete

TABLE, OBJECTS = b"\x01", b"\x03"
END = integer(0)
END_OF_ROWS = b"\\.\n\n\n"
"""The end mark that pg_dump writes after the rows of a table, for readers of plain scripts."""

_NUMBER = 1 + INT_BYTES
_BEGINNING = 1 + _NUMBER


def start_of_block(kind: bytes, dump_id: int) -> bytes:
    """Return the head of a block of `kind`, `TABLE` or `OBJECTS`."""
    return kind + integer(dump_id)


def start_of_object(oid: int) -> bytes:
    """Return the head of a large object within a block."""
    # Written as a signed number of 4 bytes, so the upper half of all oids is negative.
    return integer(oid if oid < 1 << 31 else oid - (1 << 32))


def framed_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `pieces`, each after its length.

    An empty one ("nothing yet") stays empty: its length would be the end mark.
    """
    for piece in pieces:
        if piece:
            yield integer(len(piece))
        yield piece


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """The beginning of the block of the entry `dump_id`."""

    dump_id: int


@dataclass(frozen=True, slots=True)
class ObjectStarted:
    """The beginning of the large object `oid`."""

    oid: int


@dataclass(frozen=True, slots=True)
class BlockData:
    """Some bytes of the rows or of the large object, valid until the next event."""

    content: memoryview


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """The end of the block."""


Event = BlockStarted | ObjectStarted | BlockData | BlockEnded


class BlockDecoder:
    """A decoder of blocks that arrive in chunks cut anywhere.

    `inside` is the kind of block (`TABLE`, `OBJECTS`) that the first bytes continue, b"" if they
    begin a new one.
    """

    def __init__(self, inside: bytes) -> None:
        self._block = inside
        self._is_in_object = False
        self._left = 0
        self._carried = b""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events in `chunk`. Raises `Incomplete` for what cannot be in an archive."""
        data = self._carried + chunk if self._carried else chunk
        view, at = memoryview(data), 0
        while at < len(data):
            if self._left:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                yield BlockData(piece)
                continue
            need = _NUMBER if self._block else _BEGINNING
            if len(data) - at < need:
                break
            yield from self._head(data[at : at + need])
            at += need
        self._carried = bytes(view[at:])

    def is_between(self) -> bool:
        """Return whether no piece is cut: the data may end here, or continue in another part."""
        return not (self._left or self._carried or self._is_in_object)

    @property
    def block(self) -> bytes:
        """The kind of the block that has begun and not ended, b"" for none."""
        return self._block

    def _head(self, head: bytes) -> Iterator[Event]:
        if not self._block:
            self._block = head[:1]
            if self._block not in (TABLE, OBJECTS):
                raise Incomplete(f"the archive has a block of unknown kind {head[0]}")
            yield BlockStarted(_number(head[1:]))
            return
        number = _number(head)
        if self._block == OBJECTS and not self._is_in_object:
            if number:
                self._is_in_object = True
                yield ObjectStarted(number % (1 << 32))  # it was written as a signed number
                return
        elif number:
            if number < 0:
                raise Incomplete(f"the archive has a piece of {number} bytes, which cannot be")
            self._left = number
            return
        elif self._is_in_object:
            self._is_in_object = False
            return
        self._block = b""
        yield BlockEnded()


def _number(head: bytes) -> int:
    value = int.from_bytes(head[1:], "little")
    return -value if head[0] else value
