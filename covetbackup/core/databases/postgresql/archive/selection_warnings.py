"""What of a backup a selection leaves out though it may be missed. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from covetbackup.core.databases.postgresql.archive.contents import (
    BLOB,
    BLOB_METADATA,
    BLOBS,
    Contents,
    Entry,
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


def own_sequences(contents: Contents) -> list[Entry]:
    """Return the sequences that belong to no column: neither serial nor identity."""
    entries = {entry.dump_id: entry for entry in contents.entries}
    owned = {need for entry in contents.entries if entry.kind == _OWNED_BY for need in entry.needs}
    return [
        entry
        for entry in contents.entries
        if entry.kind == SEQUENCE
        and entry.dump_id not in owned
        and not any(entries[need].kind == _TABLE for need in entry.needs if need in entries)
    ]


def left_out_of(
    contents: Contents, kept: Collection[int], wanted: Sequence[Entry], selection: Selection
) -> Iterator[str]:
    """Yield a sentence for each kind of thing: sequences of the schemas that `wanted` tables are
    in, and large objects, both if rows come. `kept` are the dump ids of what is restored."""
    if not selection.with_data:
        return
    schemas = {entry.schema for entry in wanted}
    sequences = [
        each.name
        for each in own_sequences(contents)
        if each.schema in schemas and each.dump_id not in kept
    ]
    if sequences:
        yield (
            f"left out, as no column owns them: sequences {listed(sequences)};"
            " a selection of the whole schema brings them"
        )
    yield from large_objects_left_out(contents, kept)


def large_objects_left_out(contents: Contents, kept: Collection[int]) -> Iterator[str]:
    """Yield what has to be said of the backup's large objects if there are any."""
    if not any(entry.kind in (BLOB, BLOBS, BLOB_METADATA) for entry in contents.entries):
        return
    may_refer = [
        f"{entry.name} ({', '.join(entry.text(name) for name in names)})"
        for entry in contents.entries
        if entry.dump_id in kept
        and entry.kind == _TABLE
        and (names := _REFERENCE.findall(entry.definition))
    ]
    named = f", perhaps from {listed(may_refer)}" if may_refer else ""
    yield (
        "left out: all large objects, as which rows refer to them cannot be known"
        f"{named}; restore the whole backup under another name to have them"
    )


def listed(names: Sequence[str]) -> str:
    """Return the names as one text, the first of them if they are many."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
