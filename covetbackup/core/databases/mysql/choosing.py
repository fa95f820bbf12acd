"""Some tables of a backup instead of all: what that comes to, and which bytes it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from covetbackup.core.databases.base import Piece
from covetbackup.core.databases.mysql.scripts import Script
from covetbackup.core.databases.mysql.sections import Sections, map_from_json
from covetbackup.core.databases.mysql.structure import ForeignKey, Structure, read_structure
from covetbackup.core.databases.selection import Chosen, Selection
from covetbackup.core.errors import BadSetting

_ONLY_TABLES = (
    "views, triggers, routines and events are not restored with single tables;"
    " they are in programs.sql and events.sql"
)


class Listing:
    """What is in a backup, told from its map and its structure alone."""

    def __init__(self, sections: bytes, schema: Script) -> None:
        self._members: Mapping[str, Sections] = map_from_json(sections)
        self.structure: Structure = read_structure(schema)

    def table_bytes(self) -> dict[str, int]:
        return {
            table: section.length
            for sections in self._members.values()
            for table, section in sections.tables.items()
        }

    def chosen(self, selection: Selection) -> Chosen:
        """Raises `BadSetting` for what is not there. Nothing else is pulled in but sequences: a
        foreign key to a table that was not selected is left out."""
        if selection.schemas:
            raise BadSetting(
                "tables of MySQL are in no schema", "name tables, or restore the whole backup"
            )
        if not selection.with_structure:
            raise BadSetting(
                "rows alone cannot be restored to MySQL or MariaDB",
                "restore the tables under a new name and copy the rows from there",
            )
        if not selection.tables:
            raise BadSetting("nothing is selected")
        missing = sorted(set(selection.tables) - self.structure.tables.keys())
        if missing:
            raise BadSetting(f"the backup has no table {', '.join(missing[:20])}")
        tables = frozenset(selection.tables)
        sequences = {name for table in tables for name in self.structure.sequences_of(table)}
        return Chosen(
            tables=tables,
            sequences=frozenset(sequences),
            extensions=frozenset(),
            pulled=(),
            skipped=tuple(f"{key.table}.{key.name}" for key in self.skipped(tables)),
            warnings=(_ONLY_TABLES,),
            with_data=selection.with_data,
        )

    def skipped(self, tables: frozenset[str]) -> list[ForeignKey]:
        """The foreign keys of `tables` that lead out of them."""
        keys = [key for table in sorted(tables) for key in self.structure.foreign_keys(table)]
        return [key for key in keys if key.to not in tables]

    def beginnings(self, tables: frozenset[str]) -> Iterator[Piece]:
        """Of each member that holds rows of `tables`, what belongs before any of them."""
        for member, sections in self._members.items():
            if tables & sections.tables.keys():
                yield Piece(member, 0, sections.header)

    def rows(self, tables: frozenset[str]) -> Iterator[Piece]:
        """The ranges that hold the rows of `tables`; neighbours are one."""
        for member, sections in self._members.items():
            found = [section for name, section in sections.tables.items() if name in tables]
            begin = end = -1
            for section in sorted(found, key=lambda each: each.offset):
                if section.offset != end:
                    if end > begin:
                        yield Piece(member, begin, end - begin)
                    begin = section.offset
                end = section.offset + section.length
            if end > begin:
                yield Piece(member, begin, end - begin)
