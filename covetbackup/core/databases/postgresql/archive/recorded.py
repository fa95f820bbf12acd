"""Dependencies that a backup recorded beside its dump, added to the table of contents. Pure.

pg_dump writes no entry for the index of a constraint, so what only that index depends on is in no
entry, and none that says which extension a configuration table is of. Sequences that defaults name
as texts are found in the statements.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from covetbackup.core.databases.postgresql.archive.contents import (
    TABLE_DATA,
    Entry,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.server_requirements import unquoted

RELATIONS = "extension_relations"
"""JSON: the extension of each configuration table and sequence, by "schema.name"."""
INDEX_NEEDS = "index_needs"
"""JSON: [constraint, catalog, object] as oids: what the index of a constraint depends on besides
its table. For a member of an extension it is the extension."""
CONSTRAINT = b"CONSTRAINT"
EXTENSION = b"EXTENSION"
OF_RELATIONS = (TABLE_DATA, b"SEQUENCE SET")
# Of backups without a record: the one extension that lets a GiST index take plain values.
_BY_GIST = re.compile(rb"\bEXCLUDE USING gist\b|\bWITHOUT OVERLAPS\b")
_FOR_GIST = b"btree_gist"
_WITH_DEFAULTS = (b"TABLE", b"FOREIGN TABLE", b"DEFAULT")
_WORD = rb"""(?:"[^"']+"|[a-z_\x80-\xff][\w$\x80-\xff]*)"""
_BY_TEXT = re.compile(rb"nextval\(\('(?:(%(word)s)\.)?(%(word)s)'::text\)" % {b"word": _WORD})


def with_recorded_dependencies(
    contents: TableOfContents, settings: Mapping[str, str]
) -> TableOfContents:
    """Return `contents` with the dependencies that the `settings` of an inventory record."""
    more: dict[int, tuple[int, ...]] = {}
    found = (
        *_of_constraints(contents, settings),
        *_extension_dependencies(contents, settings),
        *_default_dependencies(contents),
    )
    for dump_id, need in found:
        more[dump_id] = (*more.get(dump_id, ()), need)
    if not more:
        return contents
    return contents.map_entries(
        lambda entry: replace(
            entry, dependencies=(*entry.dependencies, *more.get(entry.dump_id, ()))
        )
    )


def _extensions(contents: TableOfContents) -> Mapping[str, int]:
    return {e.text(e.tag): e.dump_id for e in contents.entries if e.kind == EXTENSION}


def _of_constraints(
    contents: TableOfContents, settings: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    constraints = [entry for entry in contents.entries if entry.kind == CONSTRAINT]
    if INDEX_NEEDS not in settings:
        needed = _extensions(contents).get(_FOR_GIST.decode())
        for entry in constraints:
            if needed is not None and _BY_GIST.search(entry.definition):
                yield entry.dump_id, needed
        return
    found = {(entry.catalog, entry.oid): entry.dump_id for entry in contents.entries if entry.oid}
    of = {entry.oid: entry.dump_id for entry in constraints}
    for constraint, catalog, oid in json.loads(settings[INDEX_NEEDS]):
        if constraint in of and (catalog, oid) in found:
            yield of[constraint], found[catalog, oid]


def _extension_dependencies(
    contents: TableOfContents, settings: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    recorded = json.loads(settings.get(RELATIONS, "{}"))
    extensions = _extensions(contents)
    for entry in contents.entries:
        extension = recorded.get(entry.name)
        if entry.kind in OF_RELATIONS and extension in extensions:
            yield entry.dump_id, extensions[extension]


def _default_dependencies(contents: TableOfContents) -> Iterator[tuple[int, int]]:
    """Yield pairs of dump ids: a table and a sequence that a default of it names as a text.

    The server has no dependency for it either.
    """
    sequences = {(e.schema, e.tag): e.dump_id for e in contents.entries if e.kind == b"SEQUENCE"}
    for entry in contents.entries:
        if entry.kind in _WITH_DEFAULTS:
            for schema, name in _BY_TEXT.findall(entry.definition):
                # Without a schema it is found by the search path: beside the table, or in public.
                schemas = [unquoted(schema)] if schema else [entry.schema, b"public"]
                found = [(each, unquoted(name)) for each in schemas]
                yield from ((entry.dump_id, sequences[one]) for one in found if one in sequences)


def is_configuration(entry: Entry, entries: Mapping[int, Entry]) -> bool:
    """Return whether `entry` has the rows of a configuration table of an extension.

    The value of such a sequence counts too. `entries` are by dump id.
    """
    return entry.kind in OF_RELATIONS and any(
        entries[need].kind == EXTENSION for need in entry.dependencies if need in entries
    )
