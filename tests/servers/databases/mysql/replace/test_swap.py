"""The moment in which two databases change places, while programs write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
import pytest

from covetbackup.core.databases.mysql.replace import rename_strategies, swap as swapping
from covetbackup.core.databases.mysql.replace.locks import MetadataLockQueue
from covetbackup.core.errors import DatabaseError, ServerBusy
from tests.support.mariadb import MysqlServer
from tests.support.mysql_swaps import (
    ALL,
    AS_WRITTEN,
    INCOMING,
    KEPT,
    PAIRS,
    TARGET,
    TEXTS,
    granted_routines,
    make_pair,
    swap,
    swap_routines,
    texts,
    things,
)
from tests.support.mysql_writers import TABLES, unaudited, writers

OTHER_TRIGGERS = tuple(
    f"CREATE TRIGGER only_new_{table} AFTER INSERT ON {table} FOR EACH ROW SET @new = 1"
    for table in TABLES
)


@pytest.fixture
def server(mariadb_tidy: MysqlServer) -> MysqlServer:
    """With a database to be replaced, and one alike to take its place."""
    make_pair(mariadb_tidy, ALL, ALL)
    return mariadb_tidy


@contextmanager
def as_before(server: MysqlServer) -> Iterator[None]:
    """After the body nothing has changed, and no row was written without its triggers."""
    before = things(server, TARGET), things(server, INCOMING)
    yield
    assert (things(server, TARGET), things(server, INCOMING)) == before
    assert KEPT not in server.databases()
    assert unaudited(server, TARGET) == 0


def test_no_row_is_written_without_its_triggers(server: MysqlServer) -> None:
    with writers(server, TARGET):
        assert swap(server) == []
    assert unaudited(server, KEPT) == 0
    assert unaudited(server, TARGET) == 0


def test_texts_in_triggers_views_and_events_mean_what_they_did(mariadb_tidy: MysqlServer) -> None:
    make_pair(mariadb_tidy, TEXTS, TEXTS)
    assert swap(mariadb_tidy, enabled_events=("daily",)) == []
    for name in (TARGET, KEPT):
        assert texts(mariadb_tidy, name) == AS_WRITTEN


def test_a_routine_that_is_the_same_stays_in_a_swap(mariadb_tidy: MysqlServer) -> None:
    """So triggers that call it never miss it."""
    swap_routines(mariadb_tidy)
    assert granted_routines(mariadb_tidy) == [("same",)]
    assert mariadb_tidy.rows(TARGET, "SELECT same(1), other()") == [(1, "new")]
    assert mariadb_tidy.rows(TARGET, "CALL added()") == [(1,)]
    assert mariadb_tidy.rows(KEPT, "SELECT same(1), other()") == [(1, KEPT)]
    mariadb_tidy.execute(None, "DROP USER caller")


@pytest.mark.parametrize("pair", PAIRS)
def test_databases_of_which_one_has_no_triggers_change_places(
    mariadb_tidy: MysqlServer, pair: str
) -> None:
    make_pair(mariadb_tidy, *PAIRS[pair])
    old, new = things(mariadb_tidy, TARGET), things(mariadb_tidy, INCOMING)
    assert swap(mariadb_tidy) == []
    assert things(mariadb_tidy, KEPT) == old
    assert things(mariadb_tidy, TARGET) == new


def test_a_table_that_stays_in_use_gives_the_others_back_with_their_triggers(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken after the look for tables in use, and it is the last that the statement wants."""
    monkeypatch.setattr(swapping, "LOCK_SECONDS", 2)
    monkeypatch.setattr(swapping, "wait_until_unused", lambda *_: None)
    server.execute(TARGET, "CREATE TABLE zz (i int)")
    server.execute(INCOMING, *OTHER_TRIGGERS)
    reader = server.connect(TARGET)
    with reader.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM zz")
    with as_before(server), writers(server, TARGET):
        with pytest.raises(ServerBusy, match="in use"):
            swap(server)
    reader.close()


@pytest.mark.parametrize("point", ["acquire", "request_lock", "run", "requeue_behind"])
def test_a_failure_while_writers_are_held_off_gives_the_triggers_back_before_they_come(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    real = getattr(MetadataLockQueue, point)

    def failing(*given: Any) -> None:
        if point == "acquire":
            real(*given)
        monkeypatch.setattr(MetadataLockQueue, point, real)
        raise pymysql.err.OperationalError(1, "no more")

    monkeypatch.setattr(MetadataLockQueue, point, failing)
    with as_before(server), writers(server, TARGET):
        with pytest.raises(DatabaseError, match="no more"):
            swap(server)


def test_a_table_is_held_while_the_statement_waits_for_somebody_else(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He has the table before it for himself, and waits for one more."""
    server.execute(TARGET, "CREATE TABLE zz (i int)")
    reader, other = server.connect(TARGET), server.connect(TARGET)
    renaming = threading.Thread(
        target=lambda: other.cursor().execute(
            "RENAME TABLE audit TO audit_2, zz TO zz_2, audit_2 TO audit, zz_2 TO zz"
        )
    )
    real_run, real_look = MetadataLockQueue.run, MetadataLockQueue.is_blocked_on
    looks = []

    def run(*given: Any) -> Any:
        reader.cursor().execute("BEGIN")
        reader.cursor().execute("SELECT * FROM zz")
        renaming.start()
        while not server.rows(None, _RENAMING):
            pass
        return real_run(*given)

    def look(queue: MetadataLockQueue, place: tuple[str, str]) -> bool:
        looks.append(place[1])
        if len(looks) == 10:
            assert set(looks) == {"child"}
            reader.close()
        return real_look(queue, place)

    monkeypatch.setattr(MetadataLockQueue, "run", run)
    monkeypatch.setattr(MetadataLockQueue, "is_blocked_on", look)
    with writers(server, TARGET):
        assert swap(server) == []
    renaming.join()
    other.close()
    assert unaudited(server, KEPT) == 0
    assert unaudited(server, TARGET) == 0


_RENAMING = (
    "SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'RENAME TABLE audit%'"
    " AND STATE = 'Waiting for table metadata lock'"
)


def test_the_routines_that_triggers_call_are_there_before_who_writes(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute(
        INCOMING,
        "CREATE FUNCTION one() RETURNS int DETERMINISTIC RETURN 1",
        "CREATE TRIGGER calling AFTER INSERT ON single FOR EACH ROW SET @one = one()",
    )
    real = swapping.create_triggers

    def late(*given: Any) -> Any:
        threading.Event().wait(0.3)  # time to write, for whoever is let in too early
        return real(*given)

    monkeypatch.setattr(swapping, "create_triggers", late)
    with writers(server, TARGET):
        assert swap(server) == []
    assert unaudited(server, TARGET) == 0


def test_a_function_that_writes_to_a_table_does_not_stop_the_swap(server: MysqlServer) -> None:
    for name in (TARGET, INCOMING):
        server.execute(
            name,
            "CREATE FUNCTION put() RETURNS int DETERMINISTIC BEGIN"
            " INSERT INTO single VALUES (); RETURN 1; END",
        )
    stop = threading.Event()

    def call() -> None:
        with server.connect(TARGET) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                with suppress(pymysql.err.OperationalError):  # it is missing for a moment
                    cursor.execute("SELECT put()")

    calling = threading.Thread(target=call)
    calling.start()
    try:
        assert swap(server) == []
    finally:
        stop.set()
        calling.join()
    assert unaudited(server, TARGET) == 0


def test_more_triggers_than_sessions_can_hold_are_replaced_all_the_same(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename_strategies, "MAX_TRIGGERS", 3)
    [note] = swap(server)
    assert "could not be blocked" in note
    with writers(server, TARGET):
        pass
    assert unaudited(server, TARGET) == 0


def test_a_swap_that_fails_says_that_writers_could_not_be_held_off(
    server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename_strategies, "MAX_TRIGGERS", 3)
    monkeypatch.setattr(
        rename_strategies,
        "rename_tables_sql",
        lambda renames: "RENAME TABLE nowhere.a TO nowhere.b",
    )
    with as_before(server), pytest.raises(DatabaseError, match="not replaced") as caught:
        swap(server)
    assert "could not be blocked" in caught.value.hint
