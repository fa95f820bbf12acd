"""Selections of tables of a backup: their dependencies, and the byte ranges that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.mysql.archive.dump_index import Sections, map_from_json
from covetbackup.core.databases.mysql.archive.spool import Script
from covetbackup.core.databases.mysql.archive.stored_objects import (
    StoredStatements,
    read_statements,
)
from covetbackup.core.databases.mysql.archive.tables import ForeignKey, Structure, read_structure
from covetbackup.core.databases.selection import ResolvedSelection, Selection, TableData
from covetbackup.core.errors import BadSetting

_NOT_BROUGHT = (
    "routines and events are not restored with single tables, but for functions that a view calls;"
    " they are in programs.sql and events.sql"
)
_TRIGGERS = (
    "triggers are restored with their tables ({}): other objects that their statements use are not"
    " detected, so select them too"
)


@dataclass(frozen=True, slots=True)
class ResolvedTables:
    """A selection with its dependencies. `tables` and `sequences` are created before `views`."""

    tables: frozenset[str]
    views: frozenset[str]
    sequences: frozenset[str]
    selection: ResolvedSelection


class BackupListing:
    """The content of a backup, read from `tables.json`, `schema.sql` and `programs.sql` alone."""

    def __init__(self, sections: bytes, schema: Script, programs: Script) -> None:
        self._members: Mapping[str, Sections] = map_from_json(sections)
        self.structure: Structure = read_structure(schema)
        self.statements: StoredStatements = read_statements(programs)

    def table_bytes(self) -> dict[str, int]:
        """Return the plain bytes of each table's rows and of each view's definition."""
        sizes = {name: len(view.text) for name, view in self.statements.views.items()}
        for sections in self._members.values():
            for table, section in sections.tables.items():
                sizes[table] = sizes.get(table, 0) + section.length
        return sizes

    def resolve(self, selection: Selection) -> ResolvedSelection:
        """Resolve `selection`. Raises `BadSetting` for names that the backup does not hold."""
        if not selection.with_structure:
            return resolve_rows(self, selection)
        return self.resolve_tables(selection).selection

    def resolve_tables(self, selection: Selection) -> ResolvedTables:
        """Resolve a selection with structure.

        Tables and views that views read are added, and sequences; a foreign key to a table that is
        not selected is left out. Raises `BadSetting` for names that the backup does not hold.
        """
        self._validate(selection)
        selected = frozenset(selection.tables)
        needed = self._with_needs(selected)
        views = needed & self.statements.views.keys()
        tables = needed - views
        sequences = {name for table in tables for name in self.structure.sequences_of(table)}
        functions = self._functions_of(views)
        resolved = ResolvedSelection(
            tables=needed,
            sequences=frozenset(sequences),
            extensions=frozenset(),
            dependencies=(*sorted(needed - selected), *(f"function {name}" for name in functions)),
            omitted_foreign_keys=tuple(
                f"{key.table}.{key.name}" for key in self.omitted_foreign_keys(tables)
            ),
            warnings=(*self._triggers_of(tables), _NOT_BROUGHT),
            with_data=selection.with_data,
        )
        return ResolvedTables(tables, views, frozenset(sequences), resolved)

    def _validate(self, selection: Selection) -> None:
        if selection.schemas:
            raise BadSetting(
                "tables of MySQL are in no schema", "name tables, or restore the whole backup"
            )
        if not selection.tables:
            raise BadSetting("nothing is selected")
        known = self.structure.tables.keys() | self.statements.views.keys()
        missing = sorted(set(selection.tables) - known)
        if missing:
            raise BadSetting(f"the backup has no table or view {', '.join(missing[:20])}")

    def _with_needs(self, selected: frozenset[str]) -> frozenset[str]:
        """Return `selected` and all tables and views that the views among them read."""
        known = self.structure.tables.keys() | self.statements.views.keys()
        found: set[str] = set()
        new = set(selected)
        while new:
            found |= new
            views = [self.statements.views[name] for name in new & self.statements.views.keys()]
            new = {name for view in views for name in view.reads & known} - found
        return frozenset(found)

    def _functions_of(self, views: frozenset[str]) -> list[str]:
        calls = {name for view in views for name in self.statements.views[view].calls}
        return sorted(calls & self.statements.routines.keys())

    def _triggers_of(self, tables: frozenset[str]) -> list[str]:
        names = [each.name for each in self.statements.triggers if each.table in tables]
        lines = [_TRIGGERS.format(", ".join(names))] if names else []
        if self.statements.unread:
            lines.append(
                f"{self.statements.unread} triggers are not understood and will not be restored"
            )
        return lines

    def omitted_foreign_keys(self, tables: frozenset[str]) -> list[ForeignKey]:
        """Return the foreign keys of `tables` that refer to other tables."""
        keys = [key for table in sorted(tables) for key in self.structure.foreign_keys(table)]
        return [key for key in keys if key.to not in tables]

    def headers(self, tables: frozenset[str]) -> Iterator[MemberRange]:
        """Yield the header of each member that holds rows of `tables`; it belongs before them."""
        for member, sections in self._members.items():
            if tables & sections.tables.keys():
                yield MemberRange(member, 0, sections.header)

    def rows(self, tables: frozenset[str]) -> Iterator[MemberRange]:
        """Yield the ranges that hold the rows of `tables`; adjacent ones are merged."""
        for member, sections in self._members.items():
            found = [section for name, section in sections.tables.items() if name in tables]
            begin = end = -1
            for section in sorted(found, key=lambda each: each.offset):
                if section.offset != end:
                    if end > begin:
                        yield MemberRange(member, begin, end - begin)
                    begin = section.offset
                end = section.offset + section.length
            if end > begin:
                yield MemberRange(member, begin, end - begin)


def resolve_rows(listing: BackupListing, selection: Selection) -> ResolvedSelection:
    """Resolve a selection without structure: the rows of the tables it names."""
    views = sorted(set(selection.tables) & listing.statements.views.keys())
    if views:
        raise BadSetting(f"{', '.join(views[:20])} is a view, which has no rows of its own")
    tables = listing.resolve_tables(selection).tables
    return ResolvedSelection(
        tables=tables,
        sequences=frozenset(),
        extensions=frozenset(),
        dependencies=(),
        omitted_foreign_keys=(),
        warnings=("sequences stay where they are",) if listing.structure.sequences else (),
        with_data=True,
        rows=tuple(_table_data(listing.structure, table) for table in sorted(tables)),
    )


def _table_data(structure: Structure, table: str) -> TableData:
    definition = structure.tables[table].decode(errors="replace")
    return TableData("", table, tuple(structure.columns(table)), definition)
