"""What of a backup is to be restored, when not all of it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from covetbackup.core.databases.inventory import Inventory, SequenceFacts, TableFacts
from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Selection:
    """Tables as "schema.table", and whole schemas; without data only their structure, without
    structure only rows, for tables that the target has already."""

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    with_data: bool = True
    with_structure: bool = True


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a selection comes to: labels of everything that will be there.

    `pulled` are tables that what was selected cannot do without; `skipped` are foreign keys to
    tables that were not selected; `warnings` say what cannot be known from the contents.
    """

    tables: frozenset[str]
    sequences: frozenset[str]
    extensions: frozenset[str]
    pulled: tuple[str, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    with_data: bool

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
        ]

    def of(self, whole: Inventory) -> Inventory:
        """The part of the inventory `whole` that a restore of this must have."""
        tables = [table for table in whole.tables if table.label in self.tables]
        sequences = [each for each in whole.sequences if each.label in self.sequences]
        return Inventory(
            tables=tuple(tables if self.with_data else map(_without_rows, tables)),
            sequences=tuple(sequences if self.with_data else map(_unused, sequences)),
            extensions=tuple(name for name in whole.extensions if name in self.extensions),
        )


class Listing(Protocol):
    """What is in a backup, and what of it a selection would bring, before anything runs."""

    def table_bytes(self) -> dict[str, int]:
        """By label, how much of the backup each table is, in plain bytes."""

    def chosen(self, selection: Selection) -> Chosen:
        """Raises `BadSetting` for what is not there."""


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
