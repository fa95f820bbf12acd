"""Selections: the parts of a backup to restore. Pure values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from covetbackup.core.databases.inventory import Inventory, SequenceFacts, TableFacts
from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of tables, as "schema.table", and of whole schemas.

    Without data only their structure is restored, without structure only rows, for tables that
    exist in the target. `schemas_as` are pairs of a schema's name in the backup and its new name.
    """

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    with_data: bool = True
    with_structure: bool = True
    schemas_as: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TableData:
    """The rows of a table of the target, as values of these columns.

    `definition` is the statement that creates the table in the backup, "" where an engine does
    without.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    definition: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedSelection:
    """A selection with its dependencies: labels of all objects to restore.

    `dependencies` are tables that the selected ones depend on; `omitted_foreign_keys` refer to a
    table that is not selected, and `external_foreign_keys` are those of them that can be created if
    that table exists in the target; `warnings` say what cannot be known from the contents,
    `left_out` which parts of the backup are not restored. `configuration` are tables and sequences
    that extensions create themselves, whose rows and values the backup holds. `roles` and
    `tablespaces` are those that it refers to, None where an engine cannot tell; `rows` go into
    existing tables. Labels are those of the backup, whatever its schemas will be called
    (`schemas_as`).
    """

    tables: frozenset[str]
    sequences: frozenset[str]
    extensions: frozenset[str]
    dependencies: tuple[str, ...]
    omitted_foreign_keys: tuple[str, ...]
    warnings: tuple[str, ...]
    with_data: bool
    schemas_as: tuple[tuple[str, str], ...] = ()
    roles: frozenset[str] | None = None
    tablespaces: frozenset[str] | None = None
    rows: tuple[TableData, ...] = ()
    external_foreign_keys: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    configuration: frozenset[str] = frozenset()

    @property
    def notes(self) -> list[str]:
        """The differences from the request, a line each, for users."""
        return [
            *(f"also restored, as it is needed: {name}" for name in self.dependencies),
            *(
                f"left out, as not both tables are selected: foreign key {name}"
                for name in self.omitted_foreign_keys
            ),
            *self.warnings,
            *self.left_out,
        ]

    def restrict(self, whole: Inventory) -> Inventory:
        """Return the part of the inventory `whole` that a restore of this must have."""
        tables = [table for table in whole.tables if table.label in self.tables]
        sequences = [each for each in whole.sequences if each.label in self.sequences]
        part = Inventory(
            tables=tuple(tables if self.with_data else map(_without_rows, tables)),
            sequences=tuple(sequences if self.with_data else map(_unused, sequences)),
            extensions=tuple(name for name in whole.extensions if name in self.extensions),
        )
        return self._with_configuration(renamed(part, self.schemas_as), whole)

    def _with_configuration(self, part: Inventory, whole: Inventory) -> Inventory:
        """An extension stays in its schema, whatever name that gets for everything else."""
        tables = (table for table in whole.tables if table.label in self.configuration)
        sequences = (each for each in whole.sequences if each.label in self.configuration)
        return replace(
            part, tables=(*part.tables, *tables), sequences=(*part.sequences, *sequences)
        )


class Listing(Protocol):
    """The contents of a backup, and what a selection of them resolves to."""

    def table_bytes(self) -> dict[str, int]:
        """Return the size of each table in the backup, in plain bytes, by label."""

    def resolve(self, selection: Selection) -> ResolvedSelection:
        """Return a selection with its dependencies.

        Raises `BadSetting` for names that do not exist.
        """


@runtime_checkable
class PrivilegedListing(Protocol):
    """A `Listing` that can tell what an ordinary role may not create."""

    def privileged(self, selection: Selection | None) -> tuple[str, ...]:
        """Return kind and name of what only a superuser may create of `selection`, or of all."""


def renamed(whole: Inventory, schemas_as: Iterable[tuple[str, str]]) -> Inventory:
    """Return `whole` with the new names of its schemas."""
    names = dict(schemas_as)
    if not names:
        return whole
    tables = (replace(one, schema=names.get(one.schema, one.schema)) for one in whole.tables)
    sequences = (replace(one, schema=names.get(one.schema, one.schema)) for one in whole.sequences)
    return replace(whole, tables=tuple(tables), sequences=tuple(sequences))


def refuse_selection(selection: Selection | None, kind: str) -> None:
    """Raise `BadSetting` for a selection, for engines that restore everything or nothing."""
    if selection is not None:
        raise BadSetting(
            f"a {kind} backup is restored whole", "restore it under a new name and copy from there"
        )


def _without_rows(table: TableFacts) -> TableFacts:
    return replace(table, rows=None, exact=False)


def _unused(sequence: SequenceFacts) -> SequenceFacts:
    return replace(sequence, value=None)
