"""ANALYZE of several tables at once after a restore, the biggest first.

Statistics are not in a dump, and without them the first queries get bad plans.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Lock

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.inventory import dumpable_objects
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of

# Not partitions: ANALYZE of a partitioned table analyzes all that are in it.
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY pg_relation_size(c.oid) + (
  SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(c.oid) WHERE isleaf
), c.oid
"""


def analyze_table(connection: Connection, table: sql.Composable) -> None:
    """Run ANALYZE on `table`, its quoted name."""
    connection.execute(sql.SQL("ANALYZE {}").format(table))


def not_analyzed(table: str, error: psycopg.Error) -> str:
    """Return the note about a table that ANALYZE failed on.

    An index expression of it may fail, which is no reason to discard its rows.
    """
    return f"{table} has no statistics yet, run ANALYZE: {line_of(error)}"


def analyze_tables(
    connection: Connection,
    stop: Callable[[], bool],
    *,
    labels: Collection[str],
    note: Callable[[str], None],
) -> None:
    """Analyze the tables of these `labels` until `stop` returns True, in a savepoint each.

    `note` gets a line for each table that cannot be analyzed.
    """
    for table in dumpable_objects.tables(connection, labels):
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


class Analysis:
    """ANALYZE of all tables of one database, shared by the connections that call it.

    Each calls it in a thread of its own. `notes` tell what could not be analyzed.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._lock = Lock()
        self._left: list[sql.Identifier] | None = None

    def __call__(self, connection: Connection, stop: Callable[[], bool]) -> None:
        while not stop() and (table := self._next(connection)) is not None:
            try:
                analyze_table(connection, table)
            except psycopg.Error as error:
                if connection.closed or stop():
                    raise
                self.notes.append(not_analyzed(table.as_string(connection), error))

    def _next(self, connection: Connection) -> sql.Identifier | None:
        with self._lock:
            if self._left is None:
                self._left = [sql.Identifier(*row) for row in connection.execute(_TABLES)]
            return self._left.pop() if self._left else None
