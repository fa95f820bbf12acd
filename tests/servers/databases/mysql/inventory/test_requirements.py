"""What a backup's tables ask of a server is said by the backup and before a restore."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import (
    checksums,
    contents,
    definitions,
    engine_for,
    fresh_name,
    put_back,
    take,
)
from tests.support.mariadb_server import run_mariadb

PACKET = 4 << 20


@pytest.fixture
def small_packets(mariadb_server: MysqlServer) -> Iterator[MysqlServer]:
    """The server with a max_allowed_packet of 4 MiB."""
    ((before,),) = mariadb_server.rows(None, "SELECT @@global.max_allowed_packet")
    mariadb_server.execute(None, f"SET GLOBAL max_allowed_packet = {PACKET}")
    yield mariadb_server
    mariadb_server.execute(None, f"SET GLOBAL max_allowed_packet = {before}")


@pytest.mark.parametrize("kind", ["", "f float,"], ids=["dump program", "exact rows"])
def test_a_row_too_wide_for_the_server_is_named_before(
    small_packets: MysqlServer, mariadb_database: str, kind: str
) -> None:
    """As bytes it fits in; a dump writes two digits for each of them."""
    server, body = small_packets, "x'00'"
    server.execute(
        mariadb_database,
        f"CREATE TABLE wide ({kind} id int, body longblob)",
        f"INSERT INTO wide (id, body) VALUES (1, repeat({body}, 3000000)), (2, 'short')",
        "CREATE TABLE narrow (id int, body longtext)",
        "INSERT INTO narrow SELECT seq, repeat('x', 100000) FROM seq_1_to_30",
    )
    engine, copy = engine_for(server, mariadb_database), fresh_name()
    taken = take(engine)
    (warning,) = (line for line in taken.outcome.warnings if "max_allowed_packet" in line)
    assert "wide (60000" in warning and "narrow" not in warning
    with pytest.raises(BadSetting, match=r"max_allowed_packet \(4194304\).* wide \(60") as refused:
        put_back(engine, taken, server.url(copy))
    put_back(engine, taken, server.url(fresh_name()), selection=Selection(("narrow",)))
    server.execute(None, refused.value.hint)
    put_back(engine, taken, server.url(copy))
    assert checksums(server, copy) == checksums(server, mariadb_database)


def test_names_that_dump_programs_do_not_tell_apart_come_back(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    """What is to be left out they look for without case and accents."""
    mariadb_server.execute(
        mariadb_database,
        *(f"CREATE TABLE {name} (n int)" for name in ("Sale", "sale", "cafe", "café", "report")),
        *(f"INSERT INTO {name} VALUES (1), (2)" for name in ("Sale", "sale", "cafe", "café")),
        "CREATE SEQUENCE ticket START 500",
        "CREATE VIEW Report AS SELECT n FROM Sale",
        "CREATE TRIGGER noted BEFORE INSERT ON sale FOR EACH ROW SET NEW.n = 5",
        "CREATE TABLE CAFE (f float)",
        "INSERT INTO CAFE VALUES (16777216)",
    )
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    taken = take(engine, streams=3)
    restored = put_back(engine, taken, mariadb_server.url(copy), jobs=3)
    assert differences(taken.inventory, restored) == []
    assert checksums(mariadb_server, copy) == checksums(mariadb_server, mariadb_database)
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, mariadb_database)


@pytest.mark.slow  # a server of its own
def test_names_that_differ_in_case_alone_are_refused_where_they_are_one(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE Sale (n int)",
        "INSERT INTO Sale VALUES (1), (2)",
        "CREATE TABLE Mixed (n int)",
    )
    plain = take(engine_for(mariadb_server, mariadb_database))
    mariadb_server.execute(mariadb_database, "CREATE TABLE sale (n int)")
    taken = take(engine_for(mariadb_server, mariadb_database))
    assert any("Sale and sale" in line for line in taken.outcome.warnings)
    with run_mariadb("lower_case_table_names = 1") as there:
        engine = engine_for(there, "any")
        restored = put_back(engine, plain, there.url("whole"))
        assert differences(plain.inventory, restored) == []
        assert contents(there, "whole").keys() == {"sale", "mixed"}
        with pytest.raises(BadSetting, match="differ in case alone.*: Sale and sale") as refused:
            put_back(engine, taken, there.url("both"))
        assert "--table" in refused.value.hint
        put_back(engine, taken, there.url("one"), selection=Selection(("Sale",)))
        assert there.rows("one", "SELECT count(*) FROM sale") == [(2,)]
