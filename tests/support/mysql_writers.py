"""Programs that go on writing to a database, tables with triggers above all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.support.mariadb import MysqlServer

TABLES = ("child", "parent", "single")
STRUCTURE = (
    "CREATE TABLE parent (id bigint AUTO_INCREMENT PRIMARY KEY, up bigint)",
    "CREATE TABLE child (id bigint AUTO_INCREMENT PRIMARY KEY, up bigint,"
    " CONSTRAINT to_parent FOREIGN KEY (up) REFERENCES parent (id))",
    "CREATE TABLE single (id bigint AUTO_INCREMENT PRIMARY KEY, up bigint)",
    "CREATE TABLE audit (what varchar(20), id bigint)",
)
TRIGGERS = tuple(
    f"CREATE TRIGGER {table}_{when} AFTER INSERT ON {table} FOR EACH ROW"
    f" INSERT INTO audit VALUES ('{table} {when}', NEW.id)"
    for table in TABLES
    for when in ("first", "second")
)


@contextmanager
def writers(
    server: MysqlServer, database: str, each: int = 2, tables: Sequence[str] = TABLES
) -> Iterator[Callable[[], None]]:
    """So many write a row at a time to each table until the body is left; a call waits until each
    has written some more. Raises what any of them met."""
    stop = threading.Event()
    written = [0] * (each * len(tables))
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            with server.connect(database) as connection, connection.cursor() as cursor:
                while not stop.is_set():
                    cursor.execute(f"INSERT INTO {tables[number % len(tables)]} VALUES ()")
                    written[number] += 1
        except Exception as error:  # told to the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(len(written))]
    for thread in threads:
        thread.start()
    try:
        _await_more(written, errors)
        yield lambda: _await_more(written, errors)
        _await_more(written, errors)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


def _await_more(written: list[int], errors: list[Exception]) -> None:
    """Until every one of them has written 20 rows more."""
    goals = [count + 20 for count in written]
    for _ in range(3000):
        if all(count >= goal for count, goal in zip(written, goals, strict=True)):
            return
        assert errors == []
        threading.Event().wait(0.02)
    raise AssertionError(f"the writers stand still: {written}")


def unaudited(server: MysqlServer, database: str) -> int:
    """How many rows lack one that a trigger should have written, or have one twice."""
    return sum(
        int(server.rows(database, _UNAUDITED.format(table=table, when=when))[0][0])
        for table in TABLES
        for when in ("first", "second")
    )


_UNAUDITED = """
SELECT count(*) FROM {table} LEFT JOIN
  (SELECT id, count(*) AS times FROM audit WHERE what = '{table} {when}' GROUP BY id) AS seen
  USING (id)
WHERE times IS NULL OR times > 1
"""
