"""Detection of tables on which no query can be planned while the search path is empty.

The planner simplifies the expressions of a table's indexes, partial indexes and statistics objects,
which expands SQL functions in them. One whose body needs a search path then fails, and so does
`SELECT count(*)`. COPY of a whole table is not planned, so pg_dump reads such a table well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of, major_of


def find_unplannable(connection: Connection, tables: Sequence[Relation]) -> dict[int, str]:
    """Return the server's error for each such table by its oid.

    The transaction of `connection` continues.
    """
    with_expressions = {int(oid) for (oid,) in connection.execute(_query(connection))}
    failed = {}
    for table in tables:
        if table.kind != "r" or table.oid not in with_expressions:
            continue
        try:
            with connection.transaction():
                connection.execute(sql.SQL("EXPLAIN SELECT FROM ONLY {}").format(table.quoted))
        except psycopg.Error as error:
            if connection.closed:
                raise
            failed[table.oid] = error.diag.message_primary or line_of(error)
    return failed


def unplannable_warnings(tables: Iterable[Relation], failed: dict[int, str]) -> list[str]:
    """Return a backup's warning for each of `tables` that `find_unplannable` has `failed` on."""
    return [
        f"an index or statistics object of table {table.label} works only with a search path:"
        f" {failed[table.oid]}; its rows are read in one piece"
        for table in tables
        if table.oid in failed
    ]


def _query(connection: Connection) -> str:
    return _EXPRESSIONS + (_STATISTICS if major_of(connection) >= 14 else "")


_EXPRESSIONS = """
SELECT indrelid::bigint FROM pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
UNION SELECT conrelid::bigint FROM pg_constraint
WHERE contype = 'c' AND conrelid <> 0 AND current_setting('constraint_exclusion') = 'on'
"""
_STATISTICS = "UNION SELECT stxrelid::bigint FROM pg_statistic_ext WHERE stxexprs IS NOT NULL"
