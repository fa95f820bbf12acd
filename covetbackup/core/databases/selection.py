"""What of a backup is to be restored, when not all of it. Pure values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from covetbackup.core.databases.inventory import Inventory, SequenceFacts, TableFacts
from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Selection:
    """Tables as "schema.table", and whole schemas; without data only their structure, without
    structure only rows, for tables that the target has already. `schemas_as` are pairs of a
    schema's name in the backup and the one that it gets."""

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    with_data: bool = True
    with_structure: bool = True
    schemas_as: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for the table of that name in the target: the values of these columns. `definition` is
    what creates it in the backup, "" where an engine does without."""

    schema: str
    name: str
    columns: tuple[str, ...]
    definition: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedSelection:
    """What a selection comes to: labels of everything that will be there.

    `pulled` are tables that what was selected cannot do without; `skipped` are foreign keys
    of which one table was not selected, `outgoing` those of them that can be made to that table if
    it is there already; `warnings` say what cannot be known from the contents, `left_out` what of
    the backup stays out. `configuration` are tables and sequences that extensions make themselves,
    of which rows and values of the backup come. `roles`
    and `tablespaces` are those that it speaks of, None where an engine cannot tell; `rows` what
    goes into tables that are there already, empty where it cannot. Labels are those of the backup,
    whatever its schemas will be called (`schemas_as`).
    """

    tables: frozenset[str]
    sequences: frozenset[str]
    extensions: frozenset[str]
    pulled: tuple[str, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    with_data: bool
    schemas_as: tuple[tuple[str, str], ...] = ()
    roles: frozenset[str] | None = None
    tablespaces: frozenset[str] | None = None
    rows: tuple[Rows, ...] = ()
    outgoing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    configuration: frozenset[str] = frozenset()

    @property
    def lines(self) -> list[str]:
        """For people, what they did not ask for."""
        return [
            *(f"also restored, as it is needed: {name}" for name in self.pulled),
            *(
                f"left out, as not both tables are selected: foreign key {name}"
                for name in self.skipped
            ),
            *self.warnings,
            *self.left_out,
        ]

    def of(self, whole: Inventory) -> Inventory:
        """The part of the inventory `whole` that a restore of this must have."""
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
    """What is in a backup, and what of it a selection would bring, before anything runs."""

    def table_bytes(self) -> dict[str, int]:
        """By label, how much of the backup each table is, in plain bytes."""

    def chosen(self, selection: Selection) -> ResolvedSelection:
        """Raises `BadSetting` for what is not there."""


@runtime_checkable
class PrivilegedListing(Protocol):
    """A `Listing` that can tell what an ordinary role may not create."""

    def privileged(self, selection: Selection | None) -> tuple[str, ...]:
        """Return kind and name of what only a superuser may create of `selection`, or of all."""


def renamed(whole: Inventory, schemas_as: Iterable[tuple[str, str]]) -> Inventory:
    """`whole` once its schemas have their new names."""
    names = dict(schemas_as)
    if not names:
        return whole
    tables = (replace(one, schema=names.get(one.schema, one.schema)) for one in whole.tables)
    sequences = (replace(one, schema=names.get(one.schema, one.schema)) for one in whole.sequences)
    return replace(whole, tables=tuple(tables), sequences=tuple(sequences))


def refuse(selection: Selection | None, kind: str) -> None:
    """For engines that restore everything or nothing."""
    if selection is not None:
        raise BadSetting(
            f"a {kind} backup is restored whole", "restore it under a new name and copy from there"
        )


def _without_rows(table: TableFacts) -> TableFacts:
    return replace(table, rows=None, exact=False)


def _unused(sequence: SequenceFacts) -> SequenceFacts:
    return replace(sequence, value=None)
