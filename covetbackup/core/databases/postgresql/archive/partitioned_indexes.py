"""Indexes of partitioned tables: each is valid only with an index of every partition. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents

_ATTACH = b"INDEX ATTACH"
_WITH_INDEX = (b"INDEX", b"CONSTRAINT")


def index_parents(contents: TableOfContents) -> Mapping[int, int]:
    """Return the index or constraint that each one is attached to, both as dump ids."""
    indexes = {each.dump_id: each for each in contents.entries if each.kind in _WITH_INDEX}
    found = {}
    for entry in contents.entries:
        if entry.kind == _ATTACH:
            both = indexes.keys() & set(entry.dependencies)
            found.update(
                {
                    child: need
                    for child in both
                    for need in both - {child}
                    if need in indexes[child].dependencies
                }
            )
    return found


def invalid_indexes(contents: TableOfContents, left_out: Collection[Entry]) -> Sequence[Entry]:
    """Return the indexes and constraints whose index is not valid without the entries `left_out`.

    The index of a partition, or its attachment, is among those.
    """
    above = index_parents(contents)
    gone = {entry.dump_id for entry in left_out}
    waiting = [
        above[need]
        for entry in left_out
        if entry.kind == _ATTACH
        for need in entry.dependencies
        if need in above and above[need] in entry.dependencies
    ]
    found: set[int] = set()
    while waiting:
        dump_id = waiting.pop()
        if dump_id not in found | gone:
            found.add(dump_id)
            waiting += [above[dump_id]] if dump_id in above else []
    return [entry for entry in contents.entries if entry.dump_id in found]


def invalid_index_notes(contents: TableOfContents, left_out: Collection[Entry]) -> list[str]:
    """Return a note for a result about each of `invalid_indexes`."""
    return [
        f"{entry.text(entry.kind).lower()} {entry.name} of a partitioned table has no valid index,"
        " as that of a partition was left out"
        for entry in invalid_indexes(contents, left_out)
    ]
