"""Copies that stand alone, and options of databases, on the other flavours and versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.errors import DatabaseError
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import contents, settings_for, take
from tests.support.mariadb_server import mariadb, mysql, run_product
from tests.support.mysql_references import (
    NAMING,
    SHARED,
    event_states,
    make_referring,
    restore_with_notes,
)
from tests.support.other_suites import MARIADB_11, MYSQL, Unobtainable, unpacked

# The first run fetches packages.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

Other = tuple[MysqlServer, Path]


@pytest.fixture(scope="module", params=["MariaDB 11", "MySQL"])
def other(request: pytest.FixtureRequest) -> Iterator[Other]:
    is_mariadb = request.param == "MariaDB 11"
    try:
        root = unpacked(MARIADB_11 if is_mariadb else MYSQL)
    except Unobtainable as reason:
        pytest.skip(f"no {request.param}: {reason}")
    with run_product(mariadb(root) if is_mariadb else mysql(root)) as server:
        yield server, root


def engine(other: Other, database: str) -> MysqlEngine:
    server, root = other
    folders = [root / "usr/bin"]
    return MysqlEngine(settings_for(server, database), server.password, client_directories=folders)


def is_mariadb(other: Other) -> bool:
    return "MariaDB" in str(other[0].rows(None, "SELECT version()"))


def test_a_copy_stands_alone_and_the_original_comes_back(other: Other) -> None:
    server, original, copy = other[0], "referring", "copied"
    make_referring(server, original, mariadb=is_mariadb(other))
    taken, held = take(engine(other, original)), contents(server, original)
    server.execute(None, f"DROP DATABASE {original}")
    notes, _ = restore_with_notes(engine(other, copy), taken, server.url(copy), owner="none")
    assert contents(server, copy) == held
    acting, asleep = notes
    assert all(name in acting for name in NAMING) and "tidy" in asleep
    assert set(event_states(server, copy).values()) == {"DISABLED"}
    url = server.url(original)
    assert restore_with_notes(engine(other, original), taken, url)[0] == []
    assert contents(server, original) == held
    _, kept = restore_with_notes(engine(other, original), taken, url, replace=True)
    for name in (kept, original):
        found = contents(server, name).items()
        assert {n: d for n, d in found if not n.startswith("covet_")} == held
    assert event_states(server, original)["nightly"] == "ENABLED"
    for name in (copy, kept, original, SHARED):
        server.execute(None, f"DROP DATABASE {name}")


def test_definers_of_events_are_replaced_if_that_is_asked_for(other: Other) -> None:
    server, database = other[0], create_database(other[0])
    server.execute(None, "CREATE USER 'absent'@'nowhere'")
    event = "ON SCHEDULE EVERY 1 DAY DISABLE COMMENT ' ON COMPLETION PRESERVE ENABLE' DO SET @a = 1"
    server.execute(database, f"CREATE DEFINER = 'absent'@'nowhere' EVENT e {event}")
    taken = take(engine(other, database))
    server.execute(None, f"DROP DATABASE {database}")
    restore_with_notes(engine(other, database), taken, server.url(database), owner="none")
    query = "SELECT DEFINER, STATUS, EVENT_COMMENT FROM information_schema.EVENTS"
    found = server.rows(None, f"{query} WHERE EVENT_SCHEMA = '{database}'")
    assert found == [("root@127.0.0.1", "DISABLED", " ON COMPLETION PRESERVE ENABLE")]


def test_a_read_only_database_of_mysql_comes_back_read_only(other: Other) -> None:
    server, database, copy = other[0], create_database(other[0]), "copied_read_only"
    if is_mariadb(other):
        pytest.skip("only MySQL has read-only databases")
    server.execute(database, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)")
    server.execute(None, f"ALTER DATABASE {database} READ ONLY = 1")
    taken = take(engine(other, database))
    assert restore_with_notes(engine(other, copy), taken, server.url(copy))[0] == []
    assert "READ ONLY = 1" in server.rows(None, f"SHOW CREATE DATABASE {copy}")[0][1]
    assert contents(server, copy) == contents(server, database)
    with pytest.raises(DatabaseError, match="read-only") as caught:
        restore_with_notes(engine(other, copy), taken, server.url(copy), replace=True)
    server.execute(None, caught.value.hint.removeprefix("run "))
    _, kept = restore_with_notes(engine(other, copy), taken, server.url(copy), replace=True)
    assert "READ ONLY = 1" in server.rows(None, f"SHOW CREATE DATABASE {copy}")[0][1]
    assert "READ ONLY" not in server.rows(None, f"SHOW CREATE DATABASE {kept}")[0][1]


def test_the_default_encryption_of_mysql_comes_back(other: Other) -> None:
    """Without tables: those need a keyring."""
    server, copy = other[0], "copied_encrypted"
    if is_mariadb(other):
        pytest.skip("only MySQL has it")
    database = create_database(server, options="ENCRYPTION 'Y'")
    taken = take(engine(other, database))
    with connect(settings_for(server, copy), server.password) as connection:
        scratch.create(connection, copy, taken.inventory)
    assert "ENCRYPTION='Y'" in server.rows(None, f"SHOW CREATE DATABASE {copy}")[0][1]


def test_a_missing_tablespace_of_mysql_does_not_stop_a_restore(other: Other) -> None:
    """One that is there is used."""
    server, copy = other[0], "copied_tablespace"
    if is_mariadb(other):
        pytest.skip("only MySQL has general tablespaces")
    database = create_database(server)
    server.execute(
        database,
        "CREATE TABLESPACE fast ADD DATAFILE 'fast.ibd'",
        "CREATE TABLE t (i int COMMENT ' /*!50100 TABLESPACE `fast` */') TABLESPACE fast",
    )
    taken = take(engine(other, database))
    assert restore_with_notes(engine(other, copy), taken, server.url(copy))[0] == []
    assert _table(server, copy).count("TABLESPACE `fast`") == 2
    for name in (copy, database):
        server.execute(None, f"DROP DATABASE {name}")
    server.execute(None, "DROP TABLESPACE fast")
    (note,), _ = restore_with_notes(engine(other, copy), taken, server.url(copy))
    assert "tablespace fast" in note
    shown = _table(server, copy)
    assert shown.count("TABLESPACE `fast`") == 1  # of the comment


def _table(server: MysqlServer, database: str) -> str:
    return " ".join(str(server.rows(database, "SHOW CREATE TABLE t")[0][1]).split())
