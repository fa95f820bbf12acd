"""The inventory of a restored database, read to be compared with that of its backup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.inventory import (
    counts,
    dumpable_objects,
    extension_facts,
    objects,
)
from covetbackup.core.databases.postgresql.inventory.build import read_inventory
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.server.connection import Connection

_NAMED = 20  # tables named in a note


@dataclass(frozen=True, slots=True)
class RestoredInventory:
    """The inventory of a restored database, as far as the inventory `expected` can be compared.

    Tables have exact row counts where `expected` has them and the role may count. A table that the
    server cannot count has as many rows as COPY `loaded`, by label; else `note` is told why it has
    no count. Each method reads in the transaction of its connection until `stop` returns True.
    """

    expected: Inventory
    loaded: Mapping[str, int]
    note: Callable[[str], None]

    def database(self, connection: Connection, stop: Callable[[], bool]) -> Inventory:
        """Return the inventory of the whole database."""
        tables = dumpable_objects.tables(connection)
        if self.expected.tables:
            counted = _countable(connection, tables, self.expected)
        else:
            counted = [table for table in _readable(connection, tables) if table.kind == "r"]
        failed = _Uncounted(self)
        found = read_inventory(
            connection, tables, counted=counted, unlogged_lost=False, stop=stop, failed=failed
        )
        return replace(found, tables=counts.with_exact_counts(found.tables, tables, failed.rows))

    def selection(self, connection: Connection, stop: Callable[[], bool]) -> Inventory:
        """Return the inventory without what extensions create and `expected` does not name."""
        found = self.database(connection, stop)
        named = {table.label for table in self.expected.tables}
        named |= {sequence.label for sequence in self.expected.sequences}
        created = set(extension_facts.configuration_relations(connection)) - named
        return replace(
            found,
            tables=tuple(table for table in found.tables if table.label not in created),
            sequences=tuple(each for each in found.sequences if each.label not in created),
        )

    def named(self, connection: Connection, stop: Callable[[], bool]) -> Inventory:
        """Return the inventory of what `expected` names and of nothing else in the database."""
        expected = self.expected
        tables = dumpable_objects.tables(connection, [table.label for table in expected.tables])
        labels = [sequence.label for sequence in expected.sequences]
        sequences = dumpable_objects.sequences(connection, labels)
        failed = _Uncounted(self)
        countable = _countable(connection, tables, expected)
        rows = counts.count_rows(connection, countable, stop=stop, failed=failed)
        return Inventory(
            tables=counts.table_facts(tables, {**rows, **failed.rows}, unlogged_lost=False),
            sequences=objects.sequence_facts(connection, sequences),
            extensions=tuple(sorted(objects.extensions(connection))),
        )


@dataclass(frozen=True, slots=True)
class _Uncounted:
    """Tables that cannot be counted; `rows` is what COPY counted of them, by oid."""

    restored: RestoredInventory
    rows: dict[int, int] = field(default_factory=dict)

    def __call__(self, table: Relation, why: str) -> None:
        if table.label in self.restored.loaded:
            self.rows[table.oid] = self.restored.loaded[table.label]
        else:
            self.restored.note(f"the rows of {table.label} cannot be counted: {why}")


def unverified(expected: Inventory, found: Inventory) -> str:
    """Return a note about tables whose expected row counts could not be compared, "" if none."""
    counted = {table.label for table in found.tables if table.exact}
    labels = [one.label for one in expected.tables if one.exact and one.label not in counted]
    if not labels:
        return ""
    return f"{len(labels)} tables could not be counted: {', '.join(labels[:_NAMED])}"


def _countable(
    connection: Connection, tables: Sequence[Relation], expected: Inventory
) -> list[Relation]:
    wanted = {table.label for table in expected.tables if table.exact}
    return [
        table
        for table in _readable(connection, tables)
        if table.kind == "r" and (table.label in wanted or table.load_root)
    ]


def _readable(connection: Connection, tables: Sequence[Relation]) -> list[Relation]:
    readable = dumpable_objects.readable(connection)
    return [table for table in tables if table.oid in readable]
