"""Rows that extensions declare as their configuration. Pure.

What other statements and rows mean may depend on them: PostGIS looks a column's reference system
up in `spatial_ref_sys` when the table is created, pointcloud reads the format of a patch from
`pointcloud_formats`. So they are restored right after the extensions.
"""

from __future__ import annotations

from collections.abc import Sequence

from covetbackup.core.databases.postgresql.archive.contents import (
    TABLE_DATA,
    Entry,
    TableOfContents,
)

_EXTENSION = b"EXTENSION"
_TABLES = (b"TABLE", b"FOREIGN TABLE")


def configuration_rows(contents: TableOfContents) -> Sequence[Entry]:
    """Return the data entries of tables that an extension creates: no entry of `contents` does."""
    made = {(entry.schema, entry.tag) for entry in contents.entries if entry.kind in _TABLES}
    return [
        entry
        for entry in contents.data_entries
        if entry.kind == TABLE_DATA and (entry.schema, entry.tag) not in made
    ]


def extensions_with_dependencies(contents: TableOfContents) -> set[int]:
    """Return the dump ids of the extensions and of all that they depend on, such as schemas."""
    entries = {entry.dump_id: entry for entry in contents.entries}
    found: set[int] = set()
    waiting = [entry.dump_id for entry in contents.entries if entry.kind == _EXTENSION]
    while waiting:
        dump_id = waiting.pop()
        if dump_id in entries and dump_id not in found:
            found.add(dump_id)
            waiting += entries[dump_id].dependencies
    return found
