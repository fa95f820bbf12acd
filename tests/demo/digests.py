"""What a database holds, by own means: nothing of the engine that is being shown is used here.

Two databases are the same when they have the same tables and each table the same rows.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from tests.support.postgres_server import PostgresServer

_TABLES = """
    SELECT schemaname, tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""
_OTHERS = """
    SELECT 'sequence', schemaname, sequencename, last_value::text FROM pg_sequences
    UNION ALL SELECT 'index', schemaname, indexname, indexdef FROM pg_indexes
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT 'view', schemaname, viewname, definition FROM pg_views
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT 'constraint', '', conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid <> 0
    UNION ALL SELECT 'large object', '', oid::text, md5(lo_get(oid)) FROM pg_largeobject_metadata
"""


@dataclass(frozen=True, slots=True)
class Digest:
    """The number of rows and a checksum of all of them, in whatever order they come."""

    rows: int
    checksum: str


def sqlite_digests(path: Path) -> dict[str, Digest]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        found = {
            name: _digest(
                repr(row).encode() for row in connection.execute(f'SELECT * FROM "{name}"')
            )
            for name in names
        }
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
        return {**found, "(schema)": _digest(repr(row).encode() for row in schema)}


def postgres_digests(server: PostgresServer, database: str) -> dict[str, Digest]:
    with server.connect(database) as connection:
        found = {}
        for schema, name in connection.execute(_TABLES).fetchall():
            statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, name))
            with connection.cursor().copy(statement) as rows:
                found[f"{schema}.{name}"] = _digest(bytes(row) for row in rows)
        others = connection.execute(_OTHERS).fetchall()
        return {**found, "(other objects)": _digest(repr(row).encode() for row in others)}


def differences(expected: dict[str, Digest], actual: dict[str, Digest]) -> list[str]:
    return [
        f"{name}: {expected.get(name, 'nothing')} became {actual.get(name, 'nothing')}"
        for name in sorted({*expected, *actual})
        if expected.get(name) != actual.get(name)
    ]


def _digest(rows: Iterable[bytes]) -> Digest:
    """The sum of the rows' own checksums: the same for every order, and twice a row is not once."""
    count = total = 0
    for row in rows:
        count += 1
        total += int.from_bytes(hashlib.sha256(row).digest(), "big")
    return Digest(count, f"{total % (1 << 256):064x}")
