"""Positions of the data of entries in the parts of an archive. Pure: values in, values out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.member_names import HEAD, is_part
from covetbackup.core.errors import Incomplete


@dataclass(frozen=True, slots=True)
class PartBoundary:
    """The boundaries of a member range: whether blocks are cut there.

    It begins in the midst of the data of the entry `continues`, unless that is None; another range
    continues its last data if it `is_continued`.
    """

    continues: Entry | None
    is_continued: bool


class PartOffsets:
    """The positions of entries' data in parts, whose plain `sizes` in bytes are by name.

    Raises `Incomplete` when those cannot be the parts of an archive with these contents.
    """

    def __init__(self, contents: TableOfContents, sizes: Mapping[str, int]) -> None:
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
            raise Incomplete("the parts of the dump do not match its table of contents")

    def member_ranges(self, wanted: Collection[int]) -> tuple[MemberRange, ...]:
        """Return what has to be read for the entries with these dump ids.

        These are whole parts where all in them is wanted, else ranges; neighbours are one range.
        """
        pieces: list[MemberRange] = []
        for name in self._begins:
            if name != HEAD:
                pieces += self._ranges_in_part(name, wanted)
        return tuple(pieces)

    def _ranges_in_part(self, name: str, wanted: Collection[int]) -> Iterator[MemberRange]:
        begin, size = self._begins[name], self._sizes[name]
        runs = [
            (max(offset, begin), min(self._block_end(number), begin + size))
            for number, offset in enumerate(self._offsets)
            if self._entries[number].dump_id in wanted
        ]
        for run_begin, run_end in _joined(run for run in runs if run[0] < run[1]):
            if run_end - run_begin == size:
                yield MemberRange(name)
            else:
                yield MemberRange(name, run_begin - begin, run_end - run_begin)

    def boundary_of(self, piece: MemberRange) -> PartBoundary:
        """Return whether blocks are cut where `piece`, a range of a part, begins and ends."""
        begin = self._begins[piece.member] + piece.offset
        length = self._sizes[piece.member] if piece.length is None else piece.length
        end = begin + length
        before = bisect_right(self._offsets, begin)
        is_beginning = before > 0 and self._offsets[before - 1] == begin
        last = bisect_right(self._offsets, end - 1)
        return PartBoundary(
            continues=None if is_beginning or not before else self._entries[before - 1],
            is_continued=self._block_end(last - 1) > end,
        )

    def _block_end(self, number: int) -> int:
        """Return where the block of the entry with this index in the archive ends."""
        return self._offsets[number + 1] if number + 1 < len(self._offsets) else self._end


def _joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join runs that touch; `runs` are in order."""
    joined: list[tuple[int, int]] = []
    for begin, end in runs:
        if joined and joined[-1][1] == begin:
            begin = joined.pop()[0]
        joined.append((begin, end))
    return joined


def _offset(entry: Entry) -> int:
    if entry.offset is None:
        raise Incomplete(f"the table of contents does not say where the data of {entry.name} is")
    return entry.offset
