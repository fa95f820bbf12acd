"""Entries that a restore may leave out, and the inventory to expect without them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import Entry, Section, TableOfContents
from covetbackup.core.databases.postgresql.archive.partitioned_indexes import (
    index_parents,
    invalid_indexes,
)

# Rows, and whatever holds rows or is needed to hold them: without it nothing was restored.
_ESSENTIAL = (
    *(b"TABLE", b"TABLE DATA", b"TABLE ATTACH", b"SEQUENCE", b"SEQUENCE SET", b"SCHEMA", b"TYPE"),
    *(b"DOMAIN", b"BLOB", b"BLOBS", b"BLOB METADATA", b"DEFAULT", b"SEQUENCE OWNED BY"),
)
_OF_TABLES = (b"FOREIGN TABLE", b"TABLE DATA")
# Comments that an inventory leaves out, see `comments`.
_OF_EXTENSION, _OF_PUBLIC = b"EXTENSION ", b"SCHEMA public"
_COUNTED_AS = {
    b"FK CONSTRAINT": "foreign key",
    b"STATISTICS": "statistics object",
    b"SERVER": "foreign server",
}
_CHECK = re.compile(rb"\n    CONSTRAINT [^\n]* CHECK \(")
_KEYS = {
    b" PRIMARY KEY ": "primary key",
    b" UNIQUE ": "unique constraint",
    b" EXCLUDE ": "exclusion constraint",
}


def is_omissible(entry: Entry) -> bool:
    """Return whether all rows can be restored without this entry."""
    return entry.kind not in _ESSENTIAL and entry.section is not Section.DATA


def describe(entry: Entry) -> str:
    """Return kind and name of an entry, as messages show it."""
    return f"{entry.text(entry.kind).lower()} {entry.name}"


def expected_without(
    expected: Inventory, entries: Iterable[Entry], contents: TableOfContents
) -> Inventory:
    """Return what of `expected` must be restored without these `entries` of `contents`."""
    entries = list(entries)
    attached = index_parents(contents)
    gone = Counter(kind for entry in entries for kind in _counted(entry, attached))
    # Neither these indexes nor their comments are counted while they are not valid.
    broken = {entry.dump_id for entry in invalid_indexes(contents, entries)}
    gone["index"] += len(broken)
    gone["comment"] += sum(_is_of_index(entry, broken) for entry in contents.entries)
    gone_tables = {entry.name for entry in entries if entry.kind in _OF_TABLES}
    gone_sequences = {entry.name for entry in entries if entry.kind == b"SEQUENCE SET"}
    names = {entry.text(entry.tag) for entry in entries if entry.kind == b"EXTENSION"}
    counts = {kind: number - gone[kind] for kind, number in (expected.objects or {}).items()}
    return replace(
        expected,
        objects=counts if expected.objects is not None else None,
        extensions=tuple(name for name in expected.extensions if name not in names),
        tables=tuple(one for one in expected.tables if one.label not in gone_tables),
        sequences=tuple(one for one in expected.sequences if one.label not in gone_sequences),
    )


def _counted(entry: Entry, attached: Collection[int]) -> Iterable[str]:
    if entry.kind == b"COMMENT":
        is_counted = entry.tag != _OF_PUBLIC and not entry.tag.startswith(_OF_EXTENSION)
        return ("comment",) if is_counted else ()
    if entry.kind == b"CONSTRAINT":
        found = [name for word, name in _KEYS.items() if word in entry.definition]
        # Of a partition's constraint that belongs to its parent's only the index counts.
        return (*found[: entry.dump_id not in attached], "index")
    checks = _CHECK.findall(entry.definition) if entry.kind == b"FOREIGN TABLE" else ()
    kind = _COUNTED_AS.get(entry.kind, entry.text(entry.kind).lower())
    return (kind, *("check constraint" for _ in checks))


def _is_of_index(entry: Entry, indexes: Collection[int]) -> bool:
    is_comment = entry.kind == b"COMMENT" and entry.tag.startswith(b"INDEX ")
    return is_comment and any(need in indexes for need in entry.dependencies)
