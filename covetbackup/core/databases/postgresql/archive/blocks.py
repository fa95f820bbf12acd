"""Takes the blocks of an archive apart as they arrive: the counterpart of `framing`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.archive.framing import OBJECTS, TABLE
from covetbackup.core.databases.postgresql.archive.reader import INT_BYTES
from covetbackup.core.errors import Incomplete

_NUMBER = 1 + INT_BYTES
_BEGINNING = 1 + _NUMBER


@dataclass(frozen=True, slots=True)
class Begun:
    """The block of the entry `dump_id` begins."""

    dump_id: int


@dataclass(frozen=True, slots=True)
class ObjectBegun:
    """What follows is of the large object `oid`."""

    oid: int


@dataclass(frozen=True, slots=True)
class Data:
    """Some bytes of the rows, or of the large object. Valid until the next event is asked for."""

    content: memoryview


@dataclass(frozen=True, slots=True)
class Ended:
    """The block has ended."""


Event = Begun | ObjectBegun | Data | Ended


class Blocks:
    """`inside` is the kind of block (`framing.TABLE`, `OBJECTS`) that the first bytes go on with,
    b"" if a new block begins."""

    def __init__(self, inside: bytes) -> None:
        self._block = inside
        self._is_in_object = False
        self._left = 0
        self._carried = b""

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """What `chunk` adds. Raises `Incomplete` for what cannot be in an archive."""
        data = self._carried + chunk if self._carried else chunk
        view, at = memoryview(data), 0
        while at < len(data):
            if self._left:
                piece = view[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                yield Data(piece)
                continue
            need = _NUMBER if self._block else _BEGINNING
            if len(data) - at < need:
                break
            yield from self._head(data[at : at + need])
            at += need
        self._carried = bytes(view[at:])

    def is_between(self) -> bool:
        """Whether no piece is cut: the data may end here, or go on in another part."""
        return not (self._left or self._carried or self._is_in_object)

    @property
    def block(self) -> bytes:
        """The kind of the block that has begun and not ended, b"" for none."""
        return self._block

    def _head(self, head: bytes) -> Iterator[Event]:
        if not self._block:
            self._block = head[:1]
            if self._block not in (TABLE, OBJECTS):
                raise Incomplete(f"a block of kind {head[0]} is not known")
            yield Begun(_number(head[1:]))
            return
        number = _number(head)
        if self._block == OBJECTS and not self._is_in_object:
            if number:
                self._is_in_object = True
                yield ObjectBegun(number % (1 << 32))  # it was written as a signed number
                return
        elif number:
            if number < 0:
                raise Incomplete(f"a piece of {number} bytes cannot be")
            self._left = number
            return
        elif self._is_in_object:
            self._is_in_object = False
            return
        self._block = b""
        yield Ended()


def _number(head: bytes) -> int:
    value = int.from_bytes(head[1:], "little")
    return -value if head[0] else value
