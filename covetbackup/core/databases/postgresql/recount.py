"""What a restored database really holds, and the statistics that no dump brings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql import catalog, counting, relations
from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.postgresql.relations import Relation
from covetbackup.core.databases.postgresql.survey import read_inventory

_NAMED = 20  # tables named in a note


def inventory(
    connection: Connection, stop: Callable[[], bool], *, expected: Inventory
) -> Inventory:
    """All of it, with exact row counts where `expected` has them and the role may count."""
    tables = relations.tables(connection)
    if expected.tables:
        counted = _countable(connection, tables, expected)
    else:
        counted = [table for table in _readable(connection, tables) if table.kind == "r"]
    return read_inventory(connection, tables, counted=counted, unlogged_lost=False, stop=stop)


def part(connection: Connection, stop: Callable[[], bool], *, expected: Inventory) -> Inventory:
    """As `inventory`, of what `expected` names and of nothing else that lives there."""
    tables = relations.tables(connection, [table.label for table in expected.tables])
    labels = [sequence.label for sequence in expected.sequences]
    sequences = relations.sequences(connection, labels)
    rows = counting.count(connection, _countable(connection, tables, expected), stop=stop)
    return Inventory(
        tables=counting.table_facts(tables, rows, unlogged_lost=False),
        sequences=catalog.sequence_facts(connection, sequences),
        extensions=tuple(sorted(catalog.extensions(connection))),
    )


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
    readable = relations.readable(connection)
    return [table for table in tables if table.oid in readable]


def uncounted(expected: Inventory, found: Inventory) -> str:
    """What to note of tables whose rows could not be compared though they are expected to be."""
    counted = {table.label for table in found.tables if table.exact}
    labels = [one.label for one in expected.tables if one.exact and one.label not in counted]
    if not labels:
        return ""
    return f"{len(labels)} tables cannot be counted by this role: {', '.join(labels[:_NAMED])}"


def analyze(connection: Connection, stop: Callable[[], bool], *, only: Collection[str]) -> None:
    """The tables of these labels: without statistics the first queries are planned blindly."""
    for table in relations.tables(connection, only):
        if stop():
            return
        if table.kind in ("r", "p"):
            connection.execute(sql.SQL("ANALYZE {}").format(table.quoted))
