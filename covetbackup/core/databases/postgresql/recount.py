"""What a restored database really holds, and the statistics that no dump brings."""

from __future__ import annotations

from collections.abc import Callable, Collection

from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql import relations
from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.postgresql.survey import read_inventory


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


def analyze(
    connection: Connection, stop: Callable[[], bool], *, only: Collection[str] | None = None
) -> None:
    """All tables, or `only` those of these labels: without statistics the first queries are
    planned blindly."""
    for table in relations.tables(connection):
        if stop():
            return
        if table.kind in ("r", "p") and (only is None or table.label in only):
            connection.execute(sql.SQL("ANALYZE {}").format(table.quoted))
