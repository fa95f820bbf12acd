"""Databases for the browser tests: small, but with names that try the layout."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.postgres_server import PostgresServer

ROWS = {"customers": 300, "orders": 1200}
LONG_NAME = "an_archive_of_everything_that_was_ever_ordered_in_the_old_shop"
POLLING_NAME = '<p hx-get="//evil.invalid/" hx-trigger="load">'
HOSTILE_NAME = '<script>alert("shop")</script>'

_TABLES = (
    "CREATE TABLE customers (id integer PRIMARY KEY, name text)",
    "CREATE TABLE orders (id integer PRIMARY KEY, customer integer, wish text)",
)


def fill_postgres(server: PostgresServer, name: str) -> None:
    server.create_database(name)
    server.execute(
        name,
        *_TABLES,
        f"INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, "
        f"{ROWS['customers']}) n",
        f"INSERT INTO orders SELECT n, 1 + n % {ROWS['customers']}, repeat('wish ', 20) "
        f"FROM generate_series(1, {ROWS['orders']}) n",
    )


def rows_of(server: PostgresServer, name: str) -> dict[str, int]:
    return {table: server.rows(name, f"SELECT count(*) FROM {table}")[0][0] for table in ROWS}


def fill_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _TABLES:
            connection.execute(statement)
        customers = ((n, f"customer {n}") for n in range(ROWS["customers"]))
        connection.executemany("INSERT INTO customers VALUES (?, ?)", customers)
        orders = ((n, n % ROWS["customers"], "wish " * 20) for n in range(ROWS["orders"]))
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", orders)
