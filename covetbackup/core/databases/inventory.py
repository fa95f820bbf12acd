"""Inventories of databases, and the differences between two. Pure values.

An inventory is what a database held at one moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table. `rows` is None when unknown, an estimate unless `exact`."""

    schema: str
    name: str
    rows: int | None
    exact: bool

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """One sequence; `value` is its last value, None if never used."""

    schema: str
    name: str
    value: int | None

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Inventory:
    """A database's contents in one snapshot. Tuples are sorted by name.

    `objects` counts everything else by kind ("index": 12, "view": 3, "trigger": 1 …).
    `settings` holds what a restore must recreate and a reader wants to know: encoding, collation,
    page size, server version.
    """

    tables: tuple[TableFacts, ...] = ()
    sequences: tuple[SequenceFacts, ...] = ()
    large_objects: int = 0
    objects: dict[str, int] | None = None
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    settings: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Sequence values become text: they may exceed what JSON readers keep exact (2^53)."""
        sequences = [
            {**asdict(row), "value": None if row.value is None else str(row.value)}
            for row in self.sequences
        ]
        return {**asdict(self), "sequences": sequences}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Inventory:
        """Read what `to_json` returns; unknown keys (of a newer version) are ignored."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        known["tables"] = tuple(TableFacts(**row) for row in data.get("tables", ()))
        known["sequences"] = tuple(_sequence(row) for row in data.get("sequences", ()))
        known["extensions"] = tuple(data.get("extensions", ()))
        known["roles"] = tuple(data.get("roles", ()))
        return cls(**known)

    @property
    def row_count(self) -> int:
        """The number of rows of all tables whose rows were counted."""
        return sum(table.rows or 0 for table in self.tables)


def _sequence(row: dict[str, Any]) -> SequenceFacts:
    value = row["value"]
    return SequenceFacts(row["schema"], row["name"], None if value is None else int(value))


def differences(expected: Inventory, actual: Inventory) -> list[str]:
    """Return one line for each difference of `actual`, a restored database, from `expected`.

    Row counts are compared where both are exact. Roles, extensions' versions and settings are not:
    they belong to the server the database was restored to.
    """
    return [
        *_table_differences(expected, actual),
        *_sequence_differences(expected, actual),
        *_count_differences(expected, actual),
    ]


def _table_differences(expected: Inventory, actual: Inventory) -> Iterator[str]:
    found = {table.label: table for table in actual.tables}
    for table in expected.tables:
        other = found.pop(table.label, None)
        if other is None:
            yield f"table {table.label} is missing"
        elif table.exact and other.exact and table.rows != other.rows:
            yield f"table {table.label} has {other.rows} rows instead of {table.rows}"
    for label in found:
        yield f"table {label} is not in the backup"


def _sequence_differences(expected: Inventory, actual: Inventory) -> Iterator[str]:
    found = {sequence.label: sequence for sequence in actual.sequences}
    for sequence in expected.sequences:
        other = found.pop(sequence.label, None)
        if other is None:
            yield f"sequence {sequence.label} is missing"
        elif _is_behind(other.value, sequence.value):
            yield f"sequence {sequence.label} is at {other.value} instead of {sequence.value}"
    for label in found:
        yield f"sequence {label} is not in the backup"


def _is_behind(actual: int | None, expected: int | None) -> bool:
    # Sequences are not transactional: the dump may legitimately carry another value than the
    # snapshot saw, so only "never used" against "used" is a proof of loss.
    return actual is None and expected is not None


def _count_differences(expected: Inventory, actual: Inventory) -> Iterator[str]:
    if expected.large_objects != actual.large_objects:
        yield f"{actual.large_objects} large objects instead of {expected.large_objects}"
    have = actual.objects or {}
    for kind, count in (expected.objects or {}).items():
        if have.get(kind, 0) != count:
            yield f"{have.get(kind, 0)} objects of kind {kind} instead of {count}"
    missing = set(expected.extensions) - set(actual.extensions)
    for name in sorted(missing):
        yield f"extension {name} is missing"
