"""Where in the parts of an archive the data of its entries lies. Pure: values in, values out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from covetbackup.core.databases.base import Piece
from covetbackup.core.databases.postgresql.parts.names import HEAD, is_part
from covetbackup.core.databases.postgresql.toc.values import Contents, Entry
from covetbackup.core.errors import Incomplete


@dataclass(frozen=True, slots=True)
class Place:
    """What a piece holds: it goes on with the data of the entry `goes_on`, unless that is None,
    and another piece goes on with its last data if it `is_open`."""

    goes_on: Entry | None
    is_open: bool


class Places:
    """`sizes` are the plain sizes of all parts in bytes, by name.

    Raises `Incomplete` when those cannot be the parts of an archive with these contents.
    """

    def __init__(self, contents: Contents, sizes: Mapping[str, int]) -> None:
        self._entries = sorted(contents.data_entries, key=_offset)
        self._offsets = [_offset(entry) for entry in self._entries]
        self._begins: dict[str, int] = {}
        position = 0
        for name in sorted(name for name in sizes if is_part(name)):
            self._begins[name] = position
            position += sizes[name]
        self._sizes = {name: sizes[name] for name in self._begins}
        self._end = position
        if self._sizes.get(HEAD) != contents.size or any(
            not contents.size <= offset < position for offset in self._offsets
        ):
            raise Incomplete("the parts of the dump are not those its contents speak of")

    def data_pieces(self) -> tuple[Piece, ...]:
        """All parts but the first."""
        return tuple(Piece(name) for name in self._begins if name != HEAD)

    def of(self, piece: Piece) -> Place:
        begin = self._begins[piece.member]
        end = begin + self._sizes[piece.member]
        before = bisect_right(self._offsets, begin)
        is_beginning = before > 0 and self._offsets[before - 1] == begin
        last = bisect_right(self._offsets, end - 1)
        return Place(
            goes_on=None if is_beginning or not before else self._entries[before - 1],
            is_open=self._block_end(last - 1) > end,
        )

    def _block_end(self, number: int) -> int:
        """Where the block of the entry with that place in the archive ends."""
        return self._offsets[number + 1] if number + 1 < len(self._offsets) else self._end


def _offset(entry: Entry) -> int:
    if entry.offset is None:
        raise Incomplete(f"the contents do not say where the data of {entry.name} is")
    return entry.offset
