"""Row counts of the tables in a snapshot: exact where affordable, marked as estimates elsewhere."""

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
    """Return the plain tables to count exactly: the smallest, together at most `budget_bytes`."""
    found = []
    plain = [relation for relation in relations if relation.kind == "r"]
    for relation in sorted(plain, key=lambda each: (each.pages_bytes, each.oid)):
        budget_bytes -= relation.pages_bytes
        if budget_bytes < 0:
            break
        found.append(relation)
    return found


def count_rows(
    connection: Connection,
    relations: Sequence[Relation],
    *,
    stop: Callable[[], bool],
    failed: Callable[[Relation, str], None],
) -> dict[int, int]:
    """Return the exact number of rows by table oid, in the connection's own snapshot.

    Counting ends early once `stop` returns True. `failed` gets each table that the server cannot
    count, with the server's error, and a transaction of `connection` continues. Raises the driver's
    error only when the connection is lost or `stop` returned True.
    """
    counts = {}
    savepoint = connection.info.transaction_status == pq.TransactionStatus.INTRANS
    if savepoint:
        connection.execute("SAVEPOINT counting")  # one for all: each costs another round trip
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
    """Return what an inventory records of each table, with the row `counts` by table oid.

    Partitioned and foreign tables have no rows of their own. Partitions whose rows may change
    places in a restore are summed at their load root, so that the total stays comparable.
    """
    sums = _load_root_sums(relations, counts)
    facts = []
    for relation in relations:
        rows: int | None
        exact = True
        if relation.oid in sums:
            rows = sums[relation.oid]
        elif relation.kind != "r" or relation.load_root or (relation.unlogged and unlogged_lost):
            rows, exact = None, False
        elif relation.oid in counts:
            rows = counts[relation.oid]
        else:
            rows, exact = (relation.estimate if relation.estimate >= 0 else None), False
        facts.append(TableFacts(relation.schema, relation.name, rows, exact))
    return tuple(facts)


def _load_root_sums(relations: Sequence[Relation], counts: dict[int, int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    incomplete: set[int] = set()
    for relation in relations:
        if relation.kind == "r" and relation.load_root:
            if relation.oid not in counts:
                incomplete.add(relation.load_root)
            rows = counts.get(relation.oid, 0)
            sums[relation.load_root] = sums.get(relation.load_root, 0) + rows
    return {root: rows for root, rows in sums.items() if root not in incomplete}


def with_exact_counts(
    facts: Sequence[TableFacts], relations: Sequence[Relation], rows: Mapping[int, int]
) -> tuple[TableFacts, ...]:
    """Return `facts` with the exact `rows`, by table oid, where there was only an estimate."""
    by_label = {
        relation.label: rows[relation.oid]
        for relation in relations
        if relation.oid in rows and not relation.load_root
    }
    return tuple(
        replace(fact, rows=by_label[fact.label], exact=True)
        if not fact.exact and fact.label in by_label
        else fact
        for fact in facts
    )
