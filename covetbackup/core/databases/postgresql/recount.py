"""What a restored database really holds, and the statistics that no dump brings."""

from __future__ import annotations

from collections.abc import Callable, Collection

from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql import relations
from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.postgresql.survey import read_inventory

_NAMED = 20  # tables named in a note


def inventory(
    connection: Connection, stop: Callable[[], bool], *, expected: Inventory
) -> Inventory:
    """All of it, with exact row counts where `expected` has them and the role may count."""
    tables = relations.tables(connection)
    wanted = {table.label for table in expected.tables if table.exact}
    readable = relations.readable(connection)
    counted = [
        table
        for table in tables
        if table.kind == "r"
        and table.oid in readable
        and (table.label in wanted or table.scattered or not expected.tables)
    ]
    return read_inventory(connection, tables, counted=counted, unlogged_lost=False, stop=stop)


def uncounted(expected: Inventory, found: Inventory) -> str:
    """What to note of tables whose rows could not be compared though they are expected to be."""
    counted = {table.label for table in found.tables if table.exact}
    labels = [one.label for one in expected.tables if one.exact and one.label not in counted]
    if not labels:
        return ""
    return f"{len(labels)} tables cannot be counted by this role: {', '.join(labels[:_NAMED])}"


def analyze(connection: Connection, stop: Callable[[], bool], *, only: Collection[str]) -> None:
    """The tables of these labels: without statistics the first queries are planned blindly."""
    for table in relations.tables(connection):
        if stop():
            return
        if table.kind in ("r", "p") and table.label in only:
            connection.execute(sql.SQL("ANALYZE {}").format(table.quoted))
