"""Tables of every engine: rows of their own come back, of others the definition does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.selection import Selection
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import (
    checksums,
    definitions,
    engine_for,
    fresh_name,
    put_back,
    take,
)
from tests.support.postgres_backup import Notes

OWN_ROWS = ("MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE", "BLACKHOLE", "InnoDB")


@pytest.fixture
def database(mariadb_server: MysqlServer, mariadb_database: str) -> str:
    """A table of each engine that is at hand; `merged` and `linked` show rows of `myisam`."""
    password, port = mariadb_server.password.reveal(), mariadb_server.port
    link = f"mysql://root:{password}@127.0.0.1:{port}/{mariadb_database}/myisam"
    mariadb_server.execute(
        mariadb_database,
        *(f"INSTALL PLUGIN IF NOT EXISTS {name} SONAME 'ha_{file}'" for name, file in _PLUGINS),
        *(f"CREATE TABLE {each} (i int NOT NULL) ENGINE = {each}" for each in OWN_ROWS),
        *(f"INSERT INTO {each} VALUES (1), (2)" for each in OWN_ROWS),
        "RENAME TABLE MyISAM TO myisam",
        "CREATE TABLE merged (i int NOT NULL) ENGINE = MERGE UNION = (myisam)",
        f"CREATE TABLE linked (i int NOT NULL) ENGINE = FEDERATED CONNECTION = '{link}'",
    )
    return mariadb_database


_PLUGINS = (("ARCHIVE", "archive"), ("BLACKHOLE", "blackhole"), ("FEDERATED", "federatedx"))


def test_tables_whose_rows_are_elsewhere_keep_their_definition(
    mariadb_server: MysqlServer, database: str
) -> None:
    engine, copy = engine_for(mariadb_server, database), fresh_name()
    taken = take(engine)
    about = [line for line in taken.outcome.warnings if "merged" in line or "linked" in line]
    assert len(about) == 1 and "linked (FEDERATED), merged (MRG_MyISAM)" in about[0]
    facts = {table.name: table.rows for table in taken.inventory.tables}
    assert facts["merged"] is None and facts["linked"] is None
    restored = put_back(engine, taken, mariadb_server.url(copy), jobs=2)
    assert differences(taken.inventory, restored) == []
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, database)
    assert checksums(mariadb_server, copy) == checksums(mariadb_server, database)
    mariadb_server.execute(copy, "INSERT INTO myisam VALUES (3)")
    assert mariadb_server.rows(copy, "SELECT count(*) FROM merged") == [(3,)]
    chosen = Selection(("merged", "myisam"))
    put_back(engine, taken, mariadb_server.url(fresh_name()), selection=chosen)


def test_an_engine_that_the_target_lacks_is_named_before(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(mariadb_database, "CREATE TABLE t (i int) ENGINE = InnoDB")
    engine, notes = engine_for(mariadb_server, mariadb_database), Notes()
    taken = take(engine)
    settings = {**(taken.inventory.settings or {}), "engines": json.dumps({"ROCKSDB": 2})}
    inventory = replace(taken.inventory, settings=settings)
    taken = replace(taken, outcome=replace(taken.outcome, inventory=inventory))
    put_back(engine, taken, mariadb_server.url(fresh_name()), progress=notes)
    assert any("ROCKSDB (2)" in line for line in notes.lines)
