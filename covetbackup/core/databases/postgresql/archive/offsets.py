"""Where in the parts of an archive the data of its entries lies. Pure: values in, values out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.postgresql.archive.contents import Contents, Entry
from covetbackup.core.databases.postgresql.archive.member_names import HEAD, is_part
from covetbackup.core.errors import Incomplete


@dataclass(frozen=True, slots=True)
class PartBoundary:
    """What a piece holds: it goes on with the data of the entry `continues`, unless None,
    and another piece goes on with its last data if it `is_open`."""

    continues: Entry | None
    is_open: bool


class PartOffsets:
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

    def data_pieces(self, wanted: Collection[int]) -> tuple[MemberRange, ...]:
        """What has to be read for the entries with these dump ids: whole parts where all in them
        is wanted, else ranges of parts, what lies together in one."""
        pieces: list[MemberRange] = []
        for name in self._begins:
            if name != HEAD:
                pieces += self._of_part(name, wanted)
        return tuple(pieces)

    def _of_part(self, name: str, wanted: Collection[int]) -> Iterator[MemberRange]:
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

    def of(self, piece: MemberRange) -> PartBoundary:
        begin = self._begins[piece.member] + piece.offset
        length = self._sizes[piece.member] if piece.length is None else piece.length
        end = begin + length
        before = bisect_right(self._offsets, begin)
        is_beginning = before > 0 and self._offsets[before - 1] == begin
        last = bisect_right(self._offsets, end - 1)
        return PartBoundary(
            continues=None if is_beginning or not before else self._entries[before - 1],
            is_open=self._block_end(last - 1) > end,
        )

    def _block_end(self, number: int) -> int:
        """Where the block of the entry with that place in the archive ends."""
        return self._offsets[number + 1] if number + 1 < len(self._offsets) else self._end


def _joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs in order, those that touch made one."""
    joined: list[tuple[int, int]] = []
    for begin, end in runs:
        if joined and joined[-1][1] == begin:
            begin = joined.pop()[0]
        joined.append((begin, end))
    return joined


def _offset(entry: Entry) -> int:
    if entry.offset is None:
        raise Incomplete(f"the contents do not say where the data of {entry.name} is")
    return entry.offset
