"""Warnings about what a selection leaves out though it may be missed. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from covetbackup.core.databases.checks import join_names
from covetbackup.core.databases.postgresql.archive.contents import (
    BLOB,
    BLOB_METADATA,
    BLOBS,
    Entry,
    TableOfContents,
)
from covetbackup.core.databases.selection import Selection

SEQUENCE = b"SEQUENCE"
_OWNED_BY = b"SEQUENCE OWNED BY"
_TABLE = b"TABLE"
_NAMED = 20
# A column whose values may be oids of large objects, as pg_dump writes it.
_REFERENCE = re.compile(
    rb'^    ("(?:[^"]|"")+"|[^\s"]+) (?:oid|(?:[^\s"]+\.)?lo)[ ,\n]', re.MULTILINE
)


def unowned_sequences(contents: TableOfContents) -> list[Entry]:
    """Return the sequences that no column owns: neither serial nor identity."""
    entries = {entry.dump_id: entry for entry in contents.entries}
    owned = {
        need for entry in contents.entries if entry.kind == _OWNED_BY for need in entry.dependencies
    }
    return [
        entry
        for entry in contents.entries
        if entry.kind == SEQUENCE
        and entry.dump_id not in owned
        and not any(entries[need].kind == _TABLE for need in entry.dependencies if need in entries)
    ]


def omission_warnings(
    contents: TableOfContents,
    restored: Collection[int],
    wanted: Sequence[Entry],
    selection: Selection,
) -> Iterator[str]:
    """Yield warnings about unowned sequences and large objects that a selection leaves out.

    The sequences are those in the schemas of `wanted` tables. Both are only yielded if rows are
    restored. `restored` are the dump ids of what is restored.
    """
    if not selection.with_data:
        return
    schemas = {entry.schema for entry in wanted}
    sequences = [
        each.name
        for each in unowned_sequences(contents)
        if each.schema in schemas and each.dump_id not in restored
    ]
    if sequences:
        yield (
            f"left out, as no column owns them: sequences {join_names(sequences, _NAMED)};"
            " a selection of the whole schema brings them"
        )
    yield from large_object_warnings(contents, restored)


def large_object_warnings(contents: TableOfContents, restored: Collection[int]) -> Iterator[str]:
    """Yield a warning if the backup has large objects, with the tables that may refer to them."""
    if not any(entry.kind in (BLOB, BLOBS, BLOB_METADATA) for entry in contents.entries):
        return
    may_refer = [
        f"{entry.name} ({', '.join(entry.text(name) for name in names)})"
        for entry in contents.entries
        if entry.dump_id in restored
        and entry.kind == _TABLE
        and (names := _REFERENCE.findall(entry.definition))
    ]
    named = f", perhaps from {join_names(may_refer, _NAMED)}" if may_refer else ""
    yield (
        "left out: all large objects, as which rows refer to them cannot be known"
        f"{named}; restore the whole backup under another name to have them"
    )
