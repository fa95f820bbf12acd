"""Which entries a restore can do without, and what of an inventory is not there then. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.toc.values import Entry, Section

# Rows, and whatever holds rows or is needed to hold them: without it the backup would not be there.
_ESSENTIAL = (
    *(b"TABLE", b"TABLE DATA", b"TABLE ATTACH", b"SEQUENCE", b"SEQUENCE SET", b"SCHEMA", b"TYPE"),
    *(b"DOMAIN", b"BLOB", b"BLOBS", b"BLOB METADATA", b"DEFAULT", b"SEQUENCE OWNED BY"),
)
_OF_TABLES = (b"FOREIGN TABLE", b"TABLE DATA")
_COUNTED_AS = {
    b"FK CONSTRAINT": "foreign key",
    b"STATISTICS": "statistics object",
    b"SERVER": "foreign server",
}
_KEYS = {
    b" PRIMARY KEY ": "primary key",
    b" UNIQUE ": "unique constraint",
    b" EXCLUDE ": "exclusion constraint",
}


def can_be_left_out(entry: Entry) -> bool:
    """Return whether all rows are there without it."""
    return entry.kind not in _ESSENTIAL and entry.section is not Section.DATA


def described(entry: Entry) -> str:
    """Return kind and name, for people."""
    return f"{entry.text(entry.kind).lower()} {entry.name}"


def without(expected: Inventory, entries: Iterable[Entry]) -> Inventory:
    """Return what of `expected` there must be when these were left out."""
    entries = list(entries)
    gone = Counter(kind for entry in entries for kind in _counted(entry))
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


def _counted(entry: Entry) -> Iterable[str]:
    if entry.kind == b"COMMENT" and entry.tag.startswith(b"EXTENSION "):
        return ()
    if entry.kind == b"CONSTRAINT":
        found = [name for word, name in _KEYS.items() if word in entry.definition]
        return (*found[:1], "index")
    return (_COUNTED_AS.get(entry.kind, entry.text(entry.kind).lower()),)
