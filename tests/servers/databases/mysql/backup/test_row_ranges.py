"""A large table is dumped by several programs at once, each a range of its key, and comes back
whole."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.mysql.archive.selection import BackupListing
from covetbackup.core.databases.mysql.backup import row_ranges
from covetbackup.core.databases.mysql.backup.row_ranges import parts_of
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.selection import Selection
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import (
    contents,
    definitions,
    engine_for,
    fresh_name,
    put_back,
    settings_for,
    take,
)

ROWS = 6000
_BODY = ", body char(200) NOT NULL DEFAULT 'x'"
KEYS = {
    "gaps": ("id int PRIMARY KEY", "seq * seq"),
    "negative": ("id int PRIMARY KEY", "cast(seq AS int) - 3000"),
    "unsigned": ("id bigint unsigned PRIMARY KEY", "18446744073709551615 - seq * 1000003"),
    "skewed": ("id bigint PRIMARY KEY", "if(seq < 5990, seq, seq * 1000000000000)"),
    "composite": ("id smallint, more int, PRIMARY KEY (id, more)", "seq % 10, seq"),
    "odd name": ("`it's a ``%d` int PRIMARY KEY", "seq"),
}


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_ranges, "SPLIT_BYTES", 64 << 10)


def fill(server: MysqlServer, database: str, columns: str, values: str) -> None:
    names = "(id, more)" if "more" in columns else ""
    first = f"INSERT INTO large {names} " if names else "INSERT INTO large "
    rest = "" if names else ", 'x'"
    server.execute(
        database,
        f"CREATE TABLE large ({columns}{_BODY})",
        f"{first} SELECT {values}{rest} FROM seq_1_to_{ROWS}",
        "CREATE TABLE small (id int PRIMARY KEY)",
        "INSERT INTO small VALUES (1), (2)",
        "ANALYZE TABLE large",
    )


@pytest.mark.parametrize("kind", list(KEYS))
def test_every_row_comes_back_once(
    mariadb_server: MysqlServer, mariadb_database: str, kind: str
) -> None:
    fill(mariadb_server, mariadb_database, *KEYS[kind])
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    taken = take(engine, streams=3)
    holding = [name for name, text in taken.members.items() if b"INSERT INTO `large`" in text]
    assert len(holding) == 3
    restored = put_back(engine, taken, mariadb_server.url(copy), jobs=3)
    assert taken.rows["large"] == ROWS
    assert differences(taken.inventory, restored) == []
    assert contents(mariadb_server, copy) == contents(mariadb_server, mariadb_database)
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, mariadb_database)


@pytest.mark.parametrize("kind", ["gaps", "negative", "skewed"])
def test_ranges_are_about_alike(
    mariadb_server: MysqlServer, mariadb_database: str, kind: str
) -> None:
    fill(mariadb_server, mariadb_database, *KEYS[kind])
    with connect(settings_for(mariadb_server, ""), mariadb_server.password) as connection:
        tables = list_tables(connection, mariadb_database).tables
        parts = parts_of(connection, mariadb_database, tables, 3)
        counts = [
            connection.value(f"SELECT count(*) FROM {mariadb_database}.large WHERE {part.where}")
            for part in parts
            if part.where
        ]
    assert sum(counts) == ROWS
    assert max(counts) < ROWS * 0.6


def test_estimates_far_too_high_end_the_search_soon() -> None:
    looks: list[int] = []

    def rows_in(low: int, high: int) -> int:
        assert len(looks) < 10_000
        looks.append(low)
        return 1_000_000

    steps = list(row_ranges.split_points(rows_in, 0, 1 << 62, 10))
    assert steps == sorted(set(steps))
    assert len(steps) == 4 * row_ranges.STEPS


@pytest.mark.parametrize(
    "columns",
    ["id varchar(20) PRIMARY KEY", "id int, KEY (id)", "id decimal(20) PRIMARY KEY"],
)
def test_a_table_without_an_integer_key_stays_whole(
    mariadb_server: MysqlServer, mariadb_database: str, columns: str
) -> None:
    fill(mariadb_server, mariadb_database, columns, "seq")
    with connect(settings_for(mariadb_server, ""), mariadb_server.password) as connection:
        tables = list_tables(connection, mariadb_database).tables
        parts = parts_of(connection, mariadb_database, tables, 3)
    assert [part.where for part in parts] == ["", ""]


def test_one_table_of_several_ranges_can_be_chosen(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    fill(mariadb_server, mariadb_database, *KEYS["gaps"])
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    taken = take(engine, streams=3)
    put_back(engine, taken, mariadb_server.url(copy), jobs=2, selection=Selection(("large",)))
    original = contents(mariadb_server, mariadb_database)
    assert contents(mariadb_server, copy) == {"large": original["large"]}
    members = (taken.members[name] for name in ("tables.json", "schema.sql", "programs.sql"))
    sizes = BackupListing(*members).table_bytes()
    assert sizes["large"] > ROWS * 10 > sizes["small"]
