"""Inventory of a database, read on a connection whose transaction is the snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from covetbackup.core.databases.inventory import Inventory, SequenceFacts, TableFacts
from covetbackup.core.databases.sqlite.server.connection import pragma

# Up to this size every table is counted: a count reads the smallest b-tree of its table, which
# took 0.2 s for a whole cached 1 GB file, beside the page stream in its own thread.
COUNT_BUDGET_BYTES = 1 << 30
# In larger databases, tables whose row numbers span at most this much are still counted.
SMALL_SPAN = 100_000
_AUTO_VACUUM = {"0": "none", "1": "full", "2": "incremental"}


def take_inventory(connection: sqlite3.Connection, budget_bytes: int | None) -> Inventory:
    """Return the inventory of `connection`'s main database.

    Row counts are exact if the database is not larger than `budget_bytes` (None: always);
    otherwise large tables carry an estimate. Raises `sqlite3.Error`, for example for damage.
    """
    size = int(pragma(connection, "page_count")) * int(pragma(connection, "page_size"))
    exact = budget_bytes is None or size <= budget_bytes
    kinds = dict(_relations(connection))
    counted = sorted(name for name, kind in kinds.items() if kind in ("table", "shadow"))
    return Inventory(
        tables=tuple(_facts(connection, name, exact=exact) for name in counted),
        sequences=tuple(_sequences(connection)),
        objects=_objects(connection),
        settings=_settings(connection),
    )


def _relations(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    rows = connection.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")
    for name, kind in rows:
        if not name.lower().startswith("sqlite_"):
            yield name, kind


def _facts(connection: sqlite3.Connection, name: str, *, exact: bool) -> TableFacts:
    estimate = None if exact else _estimate(connection, name)
    if exact or (estimate is not None and estimate <= SMALL_SPAN):
        rows = connection.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0]
        return TableFacts(schema="", name=name, rows=rows, exact=True)
    return TableFacts(schema="", name=name, rows=estimate, exact=False)


def _estimate(connection: sqlite3.Connection, name: str) -> int | None:
    # Two descents of the b-tree. None: a WITHOUT ROWID table, which has no such numbers.
    table = _quoted(name)
    query = f"SELECT (SELECT max(_rowid_) FROM {table}) - (SELECT min(_rowid_) FROM {table}) + 1"
    try:
        span = connection.execute(query).fetchone()[0]
    except sqlite3.OperationalError:
        return None
    return 0 if span is None else int(span)


def _sequences(connection: sqlite3.Connection) -> Iterator[SequenceFacts]:
    known = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'"
    if not connection.execute(known).fetchone()[0]:
        return
    query = """SELECT name, max(seq) FROM sqlite_sequence
               WHERE typeof(name) = 'text' AND typeof(seq) = 'integer'
               GROUP BY name ORDER BY name"""
    for name, value in connection.execute(query):
        yield SequenceFacts(schema="", name=name, value=value)


def _objects(connection: sqlite3.Connection) -> dict[str, int]:
    query = """SELECT type, count(*) FROM sqlite_schema WHERE type <> 'table' GROUP BY type
               UNION ALL SELECT 'virtual_table', count(*) FROM sqlite_schema
               WHERE type = 'table' AND rootpage = 0"""
    return {kind: count for kind, count in connection.execute(query) if count}


def _settings(connection: sqlite3.Connection) -> dict[str, str]:
    names = ("page_size", "page_count", "encoding", "user_version", "application_id")
    settings = {name: pragma(connection, name) for name in (*names, "journal_mode")}
    settings["auto_vacuum"] = _AUTO_VACUUM.get(pragma(connection, "auto_vacuum"), "")
    settings["sqlite_version"] = sqlite3.sqlite_version
    return settings


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
