"""The server itself dies while two databases change places: the original serves, or the copy does,
and the next recovery repairs the rest."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.mysql.replace import metadata_tables, swap as swapping
from covetbackup.core.databases.mysql.replace.locks import MetadataLockQueue
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.errors import CovetError
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import contents, settings_for
from tests.support.mariadb_server import mariadb, mariadb_installed, server_in
from tests.support.mysql_swaps import ALL, INCOMING, KEPT, TARGET, drop_pair, make_pair, swap
from tests.support.mysql_writers import TABLES, unaudited
from tests.support.processes import is_running

MANY = 150
_TRIES = 20


class TooLateError(Exception):
    """The tables had all moved before anybody looked."""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    if not mariadb_installed():
        pytest.skip("no MariaDB server is installed")
    made = Path(tempfile.mkdtemp(prefix="covet-crash-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def fill(server: MysqlServer) -> None:
    """A database with one row in each table, and one with none to take its place."""
    drop_pair(server)
    more = tuple(f"CREATE TABLE t{number} (i int)" for number in range(MANY))
    statements = (*ALL, "CREATE VIEW seen AS SELECT what FROM audit", *more)
    make_pair(server, statements, statements)
    server.execute(TARGET, *(f"INSERT INTO {table} VALUES ()" for table in TABLES))


def kill(server: MysqlServer) -> None:
    process = int((server.directory / "pid").read_text())
    os.kill(process, signal.SIGKILL)
    while is_running(process):
        time.sleep(0.01)


def hooks(server: MysqlServer, point: str, patch: pytest.MonkeyPatch) -> None:
    """Have the server killed right after, or in, a step of the swap."""
    place: Any = next(
        each for each in (swapping, MetadataLockQueue, metadata_tables) if hasattr(each, point)
    )
    real = getattr(place, point)

    def then_dead(*given: Any) -> Any:
        done = real(*given)
        kill(server)
        return done

    def in_it(queue: MetadataLockQueue, statement: str, then: Any) -> Any:
        """When a third of the tables have moved."""
        running = BackgroundQuery(lambda stop: real(queue, statement, then), interrupt=lambda: None)
        data = server.directory / "data"
        while len(list((data / KEPT).glob("t*.frm"))) < MANY / 3:
            if running.has_ended(0.0005):
                raise TooLateError
        kill(server)
        return running.result(on_wait=lambda: None)

    patch.setattr(place, point, in_it if point == "run" else then_dead)


_BEFORE = ("write_plan", "prepare", "acquire", "run")


@pytest.mark.parametrize(
    "point",
    [
        "acquire",
        "run",
        "create_triggers",
        *(
            pytest.param(point, marks=pytest.mark.slow)
            for point in ("write_plan", "prepare", "finish", "drop_objects")
        ),
    ],
)
def test_a_crash_of_the_server_at_any_step(
    directory: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_in(directory, mariadb()) as server, monkeypatch.context() as patch:
        hooks(server, point, patch)
        before = _killed_in_a_swap(server)
    with server_in(directory, mariadb()) as server:
        another = partial(connect, settings_for(server, TARGET), server.password)
        with another() as connection:
            if point in _BEFORE:
                assert _rows(server, TARGET) == before  # it serves at once
            swapping.recover(connection)
            assert swapping.recover(connection) == []
        is_swapped = KEPT in server.databases()
        assert is_swapped == (point not in _BEFORE)
        if is_swapped:
            assert _rows(server, KEPT) == before
            assert INCOMING not in server.databases()
        else:
            assert contents(server, TARGET) == before
        server.execute(TARGET, *(f"INSERT INTO {table} VALUES ()" for table in TABLES))
        assert server.rows(TARGET, "SELECT count(*) FROM seen") == [(6 if is_swapped else 12,)]
        assert unaudited(server, TARGET) == 0


def _rows(server: MysqlServer, database: str) -> dict[str, str]:
    found = contents(server, database)
    return {name: digest for name, digest in found.items() if name not in metadata_tables.TABLES}


def _killed_in_a_swap(server: MysqlServer) -> dict[str, str]:
    """What was in the database to be replaced."""
    for _ in range(_TRIES):
        fill(server)
        before = _rows(server, TARGET)
        try:
            swap(server)
        except TooLateError:
            continue
        except (CovetError, swapping.pymysql.err.Error):
            pass  # a server that is gone has said so
        return before
    raise AssertionError("the tables moved too fast each time")
