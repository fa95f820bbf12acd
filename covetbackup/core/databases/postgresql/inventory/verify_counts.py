"""What a restored database really holds, and the statistics that no dump brings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import psycopg

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.inventory import (
    counts,
    dumpable_objects,
    extension_facts,
    objects,
)
from covetbackup.core.databases.postgresql.inventory.build import read_inventory
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.restore.analyze import analyze_table, not_analyzed
from covetbackup.core.databases.postgresql.server.connection import Connection

_NAMED = 20  # tables named in a note


def inventory(
    connection: Connection,
    stop: Callable[[], bool],
    *,
    expected: Inventory,
    loaded: Mapping[str, int],
    note: Callable[[str], None],
) -> Inventory:
    """All of it, with exact row counts where `expected` has them and the role may count.

    A table that the server cannot count has as many rows as were `loaded`, by label; else `note`
    is told why it has no count."""
    tables = dumpable_objects.tables(connection)
    if expected.tables:
        counted = _countable(connection, tables, expected)
    else:
        counted = [table for table in _readable(connection, tables) if table.kind == "r"]
    failed = _Uncounted(loaded, note)
    found = read_inventory(
        connection, tables, counted=counted, unlogged_lost=False, stop=stop, failed=failed
    )
    return replace(found, tables=counts.with_counted(found.tables, tables, failed.rows))


def selection(
    connection: Connection,
    stop: Callable[[], bool],
    *,
    expected: Inventory,
    loaded: Mapping[str, int],
    note: Callable[[str], None],
) -> Inventory:
    """As `inventory`, without what extensions made by themselves and `expected` does not name."""
    found = inventory(connection, stop, expected=expected, loaded=loaded, note=note)
    wanted = {table.label for table in expected.tables}
    wanted |= {sequence.label for sequence in expected.sequences}
    brought = set(extension_facts.configuration_relations(connection)) - wanted
    return replace(
        found,
        tables=tuple(table for table in found.tables if table.label not in brought),
        sequences=tuple(each for each in found.sequences if each.label not in brought),
    )


def part(
    connection: Connection,
    stop: Callable[[], bool],
    *,
    expected: Inventory,
    loaded: Mapping[str, int],
    note: Callable[[str], None],
) -> Inventory:
    """As `inventory`, of what `expected` names and of nothing else that lives there."""
    tables = dumpable_objects.tables(connection, [table.label for table in expected.tables])
    labels = [sequence.label for sequence in expected.sequences]
    sequences = dumpable_objects.sequences(connection, labels)
    failed = _Uncounted(loaded, note)
    countable = _countable(connection, tables, expected)
    rows = counts.count(connection, countable, stop=stop, failed=failed)
    return Inventory(
        tables=counts.table_facts(tables, {**rows, **failed.rows}, unlogged_lost=False),
        sequences=objects.sequence_facts(connection, sequences),
        extensions=tuple(sorted(objects.extensions(connection))),
    )


class _Uncounted:
    """Takes the tables that cannot be counted; `rows` is what COPY counted of them, by oid."""

    def __init__(self, loaded: Mapping[str, int], note: Callable[[str], None]) -> None:
        self.rows: dict[int, int] = {}
        self._loaded = loaded
        self._note = note

    def __call__(self, table: Relation, why: str) -> None:
        if table.label in self._loaded:
            self.rows[table.oid] = self._loaded[table.label]
        else:
            self._note(f"the rows of {table.label} cannot be counted: {why}")


def _countable(
    connection: Connection, tables: Sequence[Relation], expected: Inventory
) -> list[Relation]:
    wanted = {table.label for table in expected.tables if table.exact}
    return [
        table
        for table in _readable(connection, tables)
        if table.kind == "r" and (table.label in wanted or table.scattered)
    ]


def _readable(connection: Connection, tables: Sequence[Relation]) -> list[Relation]:
    readable = dumpable_objects.readable(connection)
    return [table for table in tables if table.oid in readable]


def uncounted(expected: Inventory, found: Inventory) -> str:
    """What to note of tables whose rows could not be compared though they are expected to be."""
    counted = {table.label for table in found.tables if table.exact}
    labels = [one.label for one in expected.tables if one.exact and one.label not in counted]
    if not labels:
        return ""
    return f"{len(labels)} tables could not be counted: {', '.join(labels[:_NAMED])}"


def analyze(
    connection: Connection,
    stop: Callable[[], bool],
    *,
    only: Collection[str],
    note: Callable[[str], None],
) -> None:
    """The tables of these labels: without statistics the first queries are planned blindly. What
    cannot be analyzed is told to `note`."""
    for table in dumpable_objects.tables(connection, only):
        if stop():
            return
        if table.kind in ("r", "p"):
            try:
                with connection.transaction():
                    analyze_table(connection, table.quoted)
            except psycopg.Error as error:
                if connection.closed or stop():
                    raise
                note(not_analyzed(table.label, error))
