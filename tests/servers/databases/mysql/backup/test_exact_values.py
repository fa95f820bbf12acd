"""A FLOAT comes back bit for bit, though servers show it with 6 digits and dumps hold what they
show."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.mysql.backup import row_ranges
from covetbackup.core.databases.selection import Selection
from tests.support.mariadb import MakeUser, MysqlServer
from tests.support.mariadb_backup import (
    checksums,
    contents,
    definitions,
    engine_for,
    fill_richly,
    fill_with_floats,
    fresh_name,
    put_back,
    take,
)


def test_a_float_comes_back_bit_for_bit(mariadb_server: MysqlServer, mariadb_database: str) -> None:
    fill_with_floats(mariadb_server, mariadb_database)
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE versioned (id int PRIMARY KEY, f float) WITH SYSTEM VERSIONING",
        "INSERT INTO versioned VALUES (1, 16777216), (2, 0.1)",
        "UPDATE versioned SET f = 123456.789 WHERE id = 1",
    )
    expected = checksums(mariadb_server, mariadb_database)
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    taken = take(engine, streams=2)
    restored = put_back(engine, taken, mariadb_server.url(copy), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert checksums(mariadb_server, copy) == expected
    assert contents(mariadb_server, copy) == contents(mariadb_server, mariadb_database)
    assert (16777216.0,) in mariadb_server.rows(copy, "SELECT f * 1e0 FROM floats")
    old = "SELECT f * 1e0 FROM versioned FOR SYSTEM_TIME ALL WHERE id = 1 ORDER BY row_start"
    assert mariadb_server.rows(copy, old) == [(16777216.0,), (123456.7890625,)]
    assert taken.outcome.warnings == ()


def test_chosen_tables_and_rows_alone_keep_their_floats(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    fill_with_floats(mariadb_server, mariadb_database)
    expected = checksums(mariadb_server, mariadb_database)
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    taken = take(engine)
    tables = ("floats", "keyed")
    put_back(engine, taken, mariadb_server.url(copy), selection=Selection(tables))
    mariadb_server.execute(copy, *(f"DELETE FROM {table}" for table in tables))
    rows = Selection(tables, with_structure=False)
    put_back(engine, taken, mariadb_server.url(copy), selection=rows)
    found = checksums(mariadb_server, copy)
    assert found == {table: expected[table] for table in tables}


def test_a_large_table_in_ranges_keeps_its_floats(
    mariadb_server: MysqlServer, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_ranges, "SPLIT_BYTES", 64 << 10)
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE large (id int PRIMARY KEY, f float, body char(200))",
        "INSERT INTO large SELECT seq, 16777216 - seq / 7, 'x' FROM seq_1_to_6000",
        "ANALYZE TABLE large",
    )
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    taken = take(engine, streams=3)
    holding = [name for name, text in taken.members.items() if b"INSERT INTO `large`" in text]
    assert len(holding) == 3
    put_back(engine, taken, mariadb_server.url(copy), jobs=3)
    assert checksums(mariadb_server, copy) == checksums(mariadb_server, mariadb_database)


def test_every_kind_of_value_beside_floats_comes_back_without_a_lock(
    mariadb_server: MysqlServer, mariadb_database: str, mariadb_user: MakeUser
) -> None:
    """All rows are of one snapshot then, and read in the same way."""
    fill_richly(mariadb_server, mariadb_database)
    fill_with_floats(mariadb_server, mariadb_database)
    place = f"ON `{mariadb_database}`.*"
    reader = mariadb_user(
        f"SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE {place}",
        "SELECT ON mysql.*",
        "BINLOG MONITOR ON *.*",
    )
    taken = take(engine_for(mariadb_server, mariadb_database, reader))
    assert [name for name in taken.members if name.startswith("data-")] == ["data-0001.sql"]
    assert taken.outcome.span.start_position
    copy = fresh_name()
    engine = engine_for(mariadb_server, mariadb_database)
    put_back(engine, taken, mariadb_server.url(copy), enable_events=True)
    assert contents(mariadb_server, copy) == contents(mariadb_server, mariadb_database)
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, mariadb_database)
    assert checksums(mariadb_server, copy) == checksums(mariadb_server, mariadb_database)
