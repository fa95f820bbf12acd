"""Programs that go on writing to a database, tables with triggers above all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.mariadb import MysqlServer

TABLES = ("child", "parent", "single")
STRUCTURE = (
    "CREATE TABLE parent (id bigint AUTO_INCREMENT PRIMARY KEY, up bigint)",
    "CREATE TABLE child (id bigint AUTO_INCREMENT PRIMARY KEY, up bigint,"
    " CONSTRAINT to_parent FOREIGN KEY (up) REFERENCES parent (id))",
    "CREATE TABLE single (id bigint AUTO_INCREMENT PRIMARY KEY, up bigint)",
    "CREATE TABLE audit (what varchar(10))",
    *(
        f"CREATE TRIGGER {table}_{when} AFTER INSERT ON {table} FOR EACH ROW"
        f" INSERT INTO audit VALUES ('{when}')"
        for table in TABLES
        for when in ("first", "second")
    ),
)


@contextmanager
def writers(server: MysqlServer, database: str, each: int = 2) -> Iterator[list[int]]:
    """So many write a row at a time to each table until the body is left; how many each wrote.
    Raises what any of them met."""
    stop = threading.Event()
    written = [0] * (each * len(TABLES))
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            with server.connect(database) as connection, connection.cursor() as cursor:
                while not stop.is_set():
                    cursor.execute(f"INSERT INTO {TABLES[number % len(TABLES)]} VALUES ()")
                    written[number] += 1
        except Exception as error:  # told to the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(len(written))]
    for thread in threads:
        thread.start()
    try:
        await_more(written)
        yield written
        await_more(written)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


def await_more(written: list[int]) -> None:
    """Until every one of them has written 20 rows more."""
    goals = [count + 20 for count in written]
    for _ in range(3000):
        if all(count >= goal for count, goal in zip(written, goals, strict=True)):
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"the writers stand still: {written}")


def unaudited(server: MysqlServer, database: str) -> int:
    """How many rows lack one that a trigger should have written."""
    counts = {
        table: server.rows(database, f"SELECT count(*) FROM {table}")[0][0]
        for table in (*TABLES, "audit")
    }
    return 2 * sum(counts[table] for table in TABLES) - int(counts["audit"])
