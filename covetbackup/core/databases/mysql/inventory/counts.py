"""Row counts: exact where that is affordable, elsewhere the server's estimates, marked as such."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.inventory import TableFacts
from covetbackup.core.databases.mysql.inventory.tables import Table
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted

# A second or two of a server's time; the dump of as much data takes ten times that.
COUNT_BUDGET_BYTES = 1 << 30


def affordable(tables: Sequence[Table]) -> list[Table]:
    """Return the tables to count exactly, smallest first.

    Tables of non-transactional engines are left out: their counts cannot be compared.
    """
    selected = []
    budget = COUNT_BUDGET_BYTES
    for table in sorted(tables, key=lambda each: (each.size_bytes, each.name)):
        budget -= table.size_bytes
        if budget < 0:
            break
        if table.transactional:
            selected.append(table)
    return selected


def count(
    connection: Connection, database: str, tables: Sequence[Table], *, stop: Callable[[], bool]
) -> dict[str, int]:
    """Count the rows of `tables` in the connection's transaction, and end it.

    Counting stops between two tables when `stop` returns true. A counted table stays locked against
    ALTER until the transaction ends. An ALTER that waited for us could make the dump programs wait
    for it, and us for them: so a table that is not available within the session's lock_wait_timeout
    is not counted.
    """
    counts = {}
    for table in tables:
        if stop():
            break
        query = f"SELECT count(*) FROM {quoted(database)}.{quoted(table.name)}"
        try:
            counts[table.name] = int(connection.value(query))
        except pymysql.err.Error as error:
            if code_of(error) not in _UNCOUNTABLE:
                raise
    connection.execute("ROLLBACK")
    return counts


# Altered since the snapshot, or about to be. If its dump did not come first, that will fail.
_UNCOUNTABLE = (
    ER.TABLE_DEF_CHANGED,
    ER.NO_SUCH_TABLE,
    ER.LOCK_WAIT_TIMEOUT,
    ER.LOCK_DEADLOCK,
)


def table_facts(tables: Sequence[Table], counts: Mapping[str, int]) -> tuple[TableFacts, ...]:
    """Return the facts of `tables` for an inventory, with exact rows where `counts` has them."""
    return tuple(_facts(table, counts.get(table.name)) for table in tables)


def _facts(table: Table, count: int | None) -> TableFacts:
    if count is not None:
        return TableFacts("", table.name, count, exact=True)
    return TableFacts("", table.name, table.estimate if table.has_own_rows else None, exact=False)
