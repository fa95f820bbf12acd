"""The demo's own comparison sees what a wrong restore would change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.demo.digests import differences, sqlite_digests


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders SET what = 'a lamq' WHERE id = 1",
        "UPDATE orders SET what = 1 WHERE id = 3",
        "DELETE FROM orders WHERE id = 2",
        "INSERT INTO orders VALUES (4, 'a lamp')",
        "INSERT INTO twins VALUES ('a'), ('a')",
        "DELETE FROM twins WHERE rowid = 1",
        "CREATE TABLE empty (id)",
        "DROP TABLE twins",
        "CREATE INDEX by_what ON orders (what)",
    ],
)
def test_a_changed_database_differs(tmp_path: Path, change: str) -> None:
    before = sqlite_digests(_database(tmp_path / "one"))
    assert differences(before, sqlite_digests(_database(tmp_path / "two", change)))


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    moved = "DELETE FROM twins; INSERT INTO twins VALUES ('b'), ('a'), ('a')"
    before = sqlite_digests(_database(tmp_path / "one"))
    assert differences(before, sqlite_digests(_database(tmp_path / "two", moved))) == []


def _database(path: Path, change: str = "") -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, what);"
            "INSERT INTO orders VALUES (1, 'a lamp'), (2, NULL), (3, '1');"
            "CREATE TABLE twins (what); INSERT INTO twins VALUES ('a'), ('a'), ('b');" + change
        )
    return path
