"""Row counts of a snapshot: exact where that is affordable, marked as estimates elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import psycopg
from psycopg import pq, sql

from covetbackup.core.databases.inventory import TableFacts
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of

# About a second of a server's time; the dump of as much data takes ten times that.
COUNT_BUDGET_BYTES = 1 << 30


def affordable(relations: Iterable[Relation], budget_bytes: int) -> list[Relation]:
    """The plain tables to count exactly, smallest first, together at most `budget_bytes`."""
    chosen = []
    plain = [relation for relation in relations if relation.kind == "r"]
    for relation in sorted(plain, key=lambda each: (each.pages_bytes, each.oid)):
        budget_bytes -= relation.pages_bytes
        if budget_bytes < 0:
            break
        chosen.append(relation)
    return chosen


def count(
    connection: Connection,
    relations: Sequence[Relation],
    *,
    stop: Callable[[], bool],
    failed: Callable[[Relation, str], None],
) -> dict[int, int]:
    """Exact rows by table oid, in the connection's own snapshot; less when `stop` says so.

    A table that the server cannot count is told to `failed` with the server's error, and the
    transaction of `connection`, if it is in one, goes on. Raises the driver's error only when the
    connection is lost or `stop` says so.
    """
    counts = {}
    savepoint = connection.info.transaction_status == pq.TransactionStatus.INTRANS
    if savepoint:
        connection.execute("SAVEPOINT counting")  # one for all: each costs a question more
    for relation in relations:
        if stop():
            break
        try:
            counts[relation.oid] = _rows(connection, relation)
        except psycopg.Error as error:
            if connection.closed or stop():
                raise
            if savepoint:
                connection.execute("ROLLBACK TO SAVEPOINT counting")
            failed(relation, error.diag.message_primary or line_of(error))
    if savepoint:
        connection.execute("RELEASE SAVEPOINT counting")
    return counts


def _rows(connection: Connection, relation: Relation) -> int:
    # ONLY: children of an inheritance tree are tables of their own and are counted there.
    query = sql.SQL("SELECT count(*) FROM ONLY {} {}").format(relation.quoted, _condition(relation))
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _condition(relation: Relation) -> sql.Composable:
    # The extension's own text, taken from the catalog: pg_dump appends it in the same way.
    return sql.SQL(relation.condition)


def table_facts(
    relations: Sequence[Relation], counts: dict[int, int], *, unlogged_lost: bool
) -> tuple[TableFacts, ...]:
    """What an inventory says of each table.

    Partitioned and foreign tables have no rows of their own. Partitions whose rows may change
    places in a restore are summed at the ancestor that decides, so the total stays comparable.
    """
    sums = _scattered_sums(relations, counts)
    facts = []
    for relation in relations:
        rows: int | None
        exact = True
        if relation.oid in sums:
            rows = sums[relation.oid]
        elif relation.kind != "r" or relation.scattered or (relation.unlogged and unlogged_lost):
            rows, exact = None, False
        elif relation.oid in counts:
            rows = counts[relation.oid]
        else:
            rows, exact = (relation.estimate if relation.estimate >= 0 else None), False
        facts.append(TableFacts(relation.schema, relation.name, rows, exact))
    return tuple(facts)


def _scattered_sums(relations: Sequence[Relation], counts: dict[int, int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    incomplete: set[int] = set()
    for relation in relations:
        if relation.kind == "r" and relation.scattered:
            if relation.oid not in counts:
                incomplete.add(relation.scattered)
            rows = counts.get(relation.oid, 0)
            sums[relation.scattered] = sums.get(relation.scattered, 0) + rows
    return {root: rows for root, rows in sums.items() if root not in incomplete}


def with_counted(
    facts: Sequence[TableFacts], relations: Sequence[Relation], rows: Mapping[int, int]
) -> tuple[TableFacts, ...]:
    """Return `facts` with the exact `rows`, by table oid, of tables that were not counted."""
    by_label = {
        relation.label: rows[relation.oid]
        for relation in relations
        if relation.oid in rows and not relation.scattered
    }
    return tuple(
        replace(fact, rows=by_label[fact.label], exact=True)
        if not fact.exact and fact.label in by_label
        else fact
        for fact in facts
    )
