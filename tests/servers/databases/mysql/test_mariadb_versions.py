"""A newer MariaDB than the one that is installed: back to itself, and on to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.mysql.backup import dump, row_ranges
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import (
    checksums,
    contents,
    engine_for,
    fill_richly,
    fill_with_floats,
    fresh_name,
    put_back,
    settings_for,
    take,
)
from tests.support.mariadb_server import mariadb, run_product
from tests.support.other_suites import MARIADB_11, Unobtainable, unpacked

_UNTIL_NOW = tuple(option for option in dump.ALWAYS if "autocommit" not in option)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the first run fetches packages


@pytest.fixture(scope="module")
def programs() -> Path:
    try:
        return unpacked(MARIADB_11)
    except Unobtainable as reason:
        pytest.skip(f"no newer MariaDB: {reason}")


@pytest.fixture(scope="module")
def newer(programs: Path) -> Iterator[MysqlServer]:
    with run_product(mariadb(programs)) as server:
        yield server


def newer_engine(server: MysqlServer, database: str, programs: Path) -> MysqlEngine:
    directories = [programs / "usr/bin"]
    settings = settings_for(server, database)
    return MysqlEngine(settings, server.password, client_directories=directories)


def test_it_comes_back_equal(newer: MysqlServer, programs: Path) -> None:
    database, copy = create_database(newer), fresh_name()
    fill_richly(newer, database)
    engine = newer_engine(newer, database, programs)
    taken = take(engine)
    assert differences(taken.inventory, put_back(engine, taken, newer.url(copy), jobs=2)) == []
    assert contents(newer, copy) == contents(newer, database)


def test_a_float_comes_back_bit_for_bit(newer: MysqlServer, programs: Path) -> None:
    database, copy = create_database(newer), fresh_name()
    fill_with_floats(newer, database)
    engine = newer_engine(newer, database, programs)
    put_back(engine, take(engine), newer.url(copy), jobs=2)
    assert checksums(newer, copy) == checksums(newer, database)


@pytest.mark.parametrize("options", [dump.ALWAYS, _UNTIL_NOW], ids=["now", "until now"])
def test_a_split_table_and_its_rows_alone_come_back(
    newer: MysqlServer, programs: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump program's own default commits after each range, and holds locks until then."""
    monkeypatch.setattr(row_ranges, "SPLIT_BYTES", 64 << 10)
    monkeypatch.setattr(dump, "ALWAYS", options)
    database, copy = create_database(newer), fresh_name()
    newer.execute(
        database,
        "CREATE TABLE large (id int PRIMARY KEY, body char(200) NOT NULL DEFAULT 'x')",
        "INSERT INTO large (id) SELECT seq FROM seq_1_to_400000",
        "ANALYZE TABLE large",
    )
    newer.execute(None, "SET GLOBAL innodb_lock_wait_timeout = 1")
    engine = newer_engine(newer, database, programs)
    taken, before = take(engine, streams=3), contents(newer, database)
    members = [text for text in taken.members.values() if b"INSERT INTO `large`" in text]
    assert len(members) == 3
    assert [b"COMMIT;" in text for text in members] == [options is _UNTIL_NOW] * 3
    assert differences(taken.inventory, put_back(engine, taken, newer.url(copy), jobs=3)) == []
    assert contents(newer, copy) == before
    newer.execute(database, "DELETE FROM large")
    selection = Selection(("large",), with_structure=False)
    put_back(engine, taken, newer.url(database), selection=selection)
    assert contents(newer, database) == before


def test_the_installed_one_goes_on_to_it(
    mariadb_server: MysqlServer, newer: MysqlServer, programs: Path
) -> None:
    database, copy = create_database(mariadb_server), fresh_name()
    fill_richly(mariadb_server, database)
    mariadb_server.execute(database, "DROP TABLE history")
    taken = take(engine_for(mariadb_server, database))
    engine = newer_engine(newer, database, programs)
    assert differences(taken.inventory, put_back(engine, taken, newer.url(copy), jobs=2)) == []
    assert contents(newer, copy) == contents(mariadb_server, database)


def test_rows_in_force_do_not_become_history_there(
    mariadb_server: MysqlServer, newer: MysqlServer, programs: Path
) -> None:
    database = create_database(mariadb_server)
    mariadb_server.execute(database, "CREATE TABLE history (a int) WITH SYSTEM VERSIONING")
    taken, before = take(engine_for(mariadb_server, database)), newer.databases()
    with pytest.raises(BadSetting, match="system-versioned"):
        put_back(newer_engine(newer, database, programs), taken, newer.url(fresh_name()))
    assert newer.databases() == before
