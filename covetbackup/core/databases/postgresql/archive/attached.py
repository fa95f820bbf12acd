"""Indexes of partitioned tables: each is valid only with an index of every partition. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from covetbackup.core.databases.postgresql.archive.contents import Contents, Entry

_ATTACH = b"INDEX ATTACH"
_WITH_INDEX = (b"INDEX", b"CONSTRAINT")


def parents(contents: Contents) -> Mapping[int, int]:
    """Return for each index or constraint that is attached to one of the parent table that one;
    both are dump ids."""
    indexes = {each.dump_id: each for each in contents.entries if each.kind in _WITH_INDEX}
    found = {}
    for entry in contents.entries:
        if entry.kind == _ATTACH:
            both = indexes.keys() & set(entry.needs)
            found.update(
                {
                    child: need
                    for child in both
                    for need in both - {child}
                    if need in indexes[child].needs
                }
            )
    return found


def invalid(contents: Contents, left_out: Collection[Entry]) -> Sequence[Entry]:
    """Return the indexes and constraints that are there but whose index is not valid, as something
    of a partition was left out."""
    above = parents(contents)
    gone = {entry.dump_id for entry in left_out}
    waiting = [
        above[need]
        for entry in left_out
        if entry.kind == _ATTACH
        for need in entry.needs
        if need in above and above[need] in entry.needs
    ]
    found: set[int] = set()
    while waiting:
        dump_id = waiting.pop()
        if dump_id not in found | gone:
            found.add(dump_id)
            waiting += [above[dump_id]] if dump_id in above else []
    return [entry for entry in contents.entries if entry.dump_id in found]


def invalid_notes(contents: Contents, left_out: Collection[Entry]) -> list[str]:
    """Return what a result has to say of them."""
    return [
        f"{entry.text(entry.kind).lower()} {entry.name} of a partitioned table has no valid index,"
        " as that of a partition was left out"
        for entry in invalid(contents, left_out)
    ]
