"""Resolution of a selection of rows only, for tables that exist in the target. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from covetbackup.core.databases.postgresql.archive.contents import (
    TABLE_DATA,
    Entry,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.copy_sql import column_names
from covetbackup.core.databases.postgresql.archive.dependencies import (
    ATTACH,
    TABLES,
    ResolvedToc,
    partition_parents,
    selected,
)
from covetbackup.core.databases.postgresql.archive.schema_names import validate_schema_names
from covetbackup.core.databases.postgresql.archive.selection_warnings import large_object_warnings
from covetbackup.core.databases.selection import ResolvedSelection, Selection, TableData


def resolve_data_only(contents: TableOfContents, selection: Selection) -> ResolvedToc:
    """Return the data entries of the selected tables and of their partitions.

    Raises `BadSetting` as `resolve_dependencies` does.
    """
    tables = _with_partitions(contents, selection)
    names = {(entry.schema, entry.tag) for entry in tables}
    data = [
        entry
        for entry in contents.data_entries
        if entry.kind == TABLE_DATA and (entry.schema, entry.tag) in names
    ]
    schemas = {entry.text(entry.schema) for entry in data}
    validate_schema_names(selection.schemas_as, schemas, taken=())
    resolved = ResolvedSelection(
        tables=frozenset(entry.name for entry in tables),
        sequences=frozenset(),
        extensions=frozenset(),
        dependencies=(),
        omitted_foreign_keys=(),
        warnings=(),
        with_data=True,
        schemas_as=selection.schemas_as,
        roles=frozenset(),
        tablespaces=frozenset(),
        rows=tuple(_rows(entry, dict(selection.schemas_as)) for entry in data),
        left_out=tuple(large_object_warnings(contents, {entry.dump_id for entry in tables})),
    )
    return ResolvedToc(frozenset(entry.dump_id for entry in data), resolved)


def _rows(entry: Entry, names: Mapping[str, str]) -> TableData:
    schema = entry.text(entry.schema)
    name = entry.text(entry.tag)
    return TableData(names.get(schema, schema), name, column_names(entry))


def _with_partitions(contents: TableOfContents, selection: Selection) -> list[Entry]:
    kinds = (*TABLES, TABLE_DATA)  # of a table that an extension makes only the rows are there
    found = [entry for entry in selected(contents, selection) if entry.kind in kinds]
    partitions = _partitions(contents)
    known = {table.dump_id for table in found}
    for table in found:  # which grows
        for partition in partitions.get(table.dump_id, ()):
            if partition.dump_id not in known:
                known.add(partition.dump_id)
                found.append(partition)
    return found


def _partitions(contents: TableOfContents) -> Mapping[int, Sequence[Entry]]:
    """Return the partitions of each table that has some, by its dump id."""
    entries = {entry.dump_id: entry for entry in contents.entries}
    found: dict[int, list[Entry]] = {}
    for entry in contents.entries:
        for parent in partition_parents(entry, entries):
            found.setdefault(parent, []).append(entry)
        if entry.kind == ATTACH:
            tables = [entries[need] for need in entry.dependencies if need in entries]
            own = [one for one in tables if (one.schema, one.tag) == (entry.schema, entry.tag)]
            for parent in (one.dump_id for one in tables if one not in own):
                found.setdefault(parent, []).extend(own)
    return found
