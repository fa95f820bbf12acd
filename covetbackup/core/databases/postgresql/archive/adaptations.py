"""Adaptation of statements that a newer server refuses. Pure: values in, values out."""

from __future__ import annotations

import re
from dataclasses import replace

from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.writer import text

_SINCE_ALL_LOGGED = 18
_UNLOGGED_PARENT = re.compile(rb"\ACREATE UNLOGGED (TABLE .*\)\s*PARTITION BY )", re.DOTALL)


def adapt_to_server(contents: TableOfContents, major: int) -> tuple[TableOfContents, list[str]]:
    """Return `contents` with statements that a server of version `major` takes, and a note each.

    A partitioned table has no rows, so that it was unlogged never had an effect; PostgreSQL 18
    refuses the word. Its partitions stay unlogged.
    """
    if major < _SINCE_ALL_LOGGED:
        return contents, []
    changed: list[Entry] = []
    entries = []
    for entry in contents.entries:
        definition = _UNLOGGED_PARENT.sub(rb"CREATE \1", entry.definition)
        if entry.kind == b"TABLE" and definition != entry.definition:
            changed.append(entry)
            entry = _with_definition(entry, definition)
        entries.append(entry)
    notes = [
        f"partitioned table {entry.name} is not unlogged any more, which had no effect and is"
        " refused by this server; its partitions are as they were"
        for entry in changed
    ]
    if not changed:
        return contents, []
    size = (
        contents.size - sum(len(e.raw) for e in contents.entries) + sum(len(e.raw) for e in entries)
    )
    return replace(contents, entries=tuple(entries), size=size), notes


def _with_definition(entry: Entry, definition: bytes) -> Entry:
    before, after = text(entry.definition), text(definition)
    return replace(entry, definition=definition, raw=entry.raw.replace(before, after, 1))
