"""Row counts of a snapshot: exact where that is affordable, marked as estimates elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from psycopg import sql

from covetbackup.core.databases.inventory import TableFacts
from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.postgresql.relations import Relation

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
    connection: Connection, relations: Sequence[Relation], *, stop: Callable[[], bool]
) -> dict[int, int]:
    """Exact rows by table oid, in the connection's own snapshot; less when `stop` says so."""
    counts = {}
    for relation in relations:
        if stop():
            break
        # ONLY: children of an inheritance tree are tables of their own and are counted there.
        query = sql.SQL("SELECT count(*) FROM ONLY {} {}").format(
            relation.quoted, _condition(relation)
        )
        row = connection.execute(query).fetchone()
        assert row is not None
        counts[relation.oid] = int(row[0])
    return counts


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
