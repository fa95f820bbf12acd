"""MySQL's own server and programs: back to itself, and never in silence to the other flavour."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.mysql.backup import row_ranges, snapshot
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.replace import (
    metadata_tables,
    rename_strategies,
    swap as swapping,
)
from covetbackup.core.databases.mysql.server.connection import Connection, connect
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting, DatabaseError, ToolMissing
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
from tests.support.mariadb import MysqlServer, MysqlUser, create_database
from tests.support.mariadb_backup import (
    checksums,
    client,
    contents,
    definitions,
    engine_for,
    fill,
    fill_richly,
    fill_with_floats,
    fresh_name,
    put_back,
    settings_for,
    take,
)
from tests.support.mariadb_server import mysql, run_product
from tests.support.mysql_swaps import (
    ALL,
    AS_WRITTEN,
    INCOMING,
    KEPT,
    PAIRS,
    TARGET,
    TEXTS,
    drop_pair,
    granted_routines,
    make_pair,
    swap,
    swap_routines,
    texts,
    things,
)
from tests.support.mysql_writers import STRUCTURE, TRIGGERS, unaudited, writers
from tests.support.other_suites import MYSQL, Unobtainable, unpacked
from tests.support.streams import eventually

# The first run fetches packages.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def programs() -> Path:
    try:
        return unpacked(MYSQL)
    except Unobtainable as reason:
        pytest.skip(f"no MySQL: {reason}")


@pytest.fixture(scope="module")
def mysql_server(programs: Path) -> Iterator[MysqlServer]:
    with run_product(mysql(programs)) as server:
        yield server


def engine(server: MysqlServer, database: str, programs: Path) -> MysqlEngine:
    return MysqlEngine(
        settings_for(server, database),
        server.password,
        client_directories=[programs / "usr/bin"],
    )


@pytest.mark.parametrize("streams", [1, 3])
def test_a_rich_database_comes_back_equal(
    mysql_server: MysqlServer, programs: Path, streams: int
) -> None:
    database, copy = create_database(mysql_server), fresh_name()
    fill_richly(mysql_server, database, programs / "usr/bin/mysql")
    source = engine(mysql_server, database, programs)
    taken = take(source, streams=streams)
    restored = put_back(source, taken, mysql_server.url(copy), jobs=streams, enable_events=True)
    assert differences(taken.inventory, restored) == []
    assert contents(mysql_server, copy) == contents(mysql_server, database)
    assert definitions(mysql_server, copy) == definitions(mysql_server, database)
    assert taken.rows["parted"] == 1000
    (warning,) = taken.outcome.warnings
    assert "old_engine" in warning


@pytest.mark.parametrize("locks", [True, False])
def test_a_float_comes_back_bit_for_bit(
    mysql_server: MysqlServer, programs: Path, locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lock all rows, of every type, are read over one session."""
    database, copy = create_database(mysql_server), fresh_name()
    fill_richly(mysql_server, database, programs / "usr/bin/mysql")
    fill_with_floats(mysql_server, database)
    expected, before = checksums(mysql_server, database), contents(mysql_server, database)
    source = engine(mysql_server, database, programs)
    with monkeypatch.context() as patch:
        if not locks:
            patch.setattr(snapshot, "_lock", _refuse)
        taken = take(source)
    put_back(source, taken, mysql_server.url(copy), jobs=2)
    assert checksums(mysql_server, copy) == expected
    assert contents(mysql_server, copy) == before


def _refuse(leader: Connection) -> None:
    raise snapshot.NoLock("refused for the test")


def test_tables_without_a_key_come_back_under_rules_about_keys(
    mysql_server: MysqlServer, programs: Path
) -> None:
    database, copy, target = (create_database(mysql_server), *map(_fresh, "ct"))
    mysql_server.execute(
        database,
        "CREATE TABLE keyless (a int, CONSTRAINT loose CHECK (a < 10) NOT ENFORCED)",
        "INSERT INTO keyless VALUES (50)",
        "CREATE TABLE merged (a int) ENGINE = MERGE",
    )
    source = engine(mysql_server, database, programs)
    taken, shown = take(source), definitions(mysql_server, database)
    rules = ("sql_generate_invisible_primary_key", "sql_require_primary_key")
    user = MysqlUser(f"limited_{copy}", Secret("a-Word-0"))
    mysql_server.execute(
        None,
        f"CREATE USER {user.name} IDENTIFIED BY '{user.password.reveal()}'",
        f"GRANT ALL ON `%`.* TO {user.name}",
        *(f"SET GLOBAL {rule} = ON" for rule in rules),
    )
    try:
        put_back(source, taken, mysql_server.url(copy))
        assert definitions(mysql_server, copy) == shown
        assert mysql_server.rows(copy, "SELECT * FROM keyless") == [(50,)]
        options = RestoreRequest(copy, replace=True)
        with engine(mysql_server, copy, programs).restore(
            options, taken.inventory, Silent()
        ) as session:
            fill(session, taken)
            session.commit()
        assert definitions(mysql_server, copy).keys() >= shown.keys()
        limited = MysqlEngine(
            settings_for(mysql_server, database, user),
            user.password,
            client_directories=[programs / "usr/bin"],
        )
        with pytest.raises(BadSetting, match="sql_.*_primary_key is on") as refused:
            put_back(limited, taken, mysql_server.url(target, user.name))
        assert "GRANT SESSION_VARIABLES_ADMIN" in refused.value.hint
    finally:
        mysql_server.execute(None, *(f"SET GLOBAL {rule} = OFF" for rule in rules))


def _fresh(suffix: str) -> str:
    return f"{fresh_name()}_{suffix}"


def test_a_dump_outlasts_storage_that_rests(mysql_server: MysqlServer, programs: Path) -> None:
    """The program has its session wait longer than the server's own 60 s for what nobody takes."""
    database = create_database(mysql_server)
    mysql_server.execute(
        database,
        "CREATE TABLE large (id int PRIMARY KEY, body longtext)",
        "INSERT INTO large VALUES (1, repeat('x', 30000000)), (2, repeat('y', 30000000))",
    )
    source = engine(mysql_server, database, programs)
    with source.backup(BackupOptions("", 1), Silent()) as session:
        for member in chain.from_iterable(session.groups()):
            with member.source as chunks:
                if "data" in member.name:
                    next(chunks)
                    assert eventually(lambda: mysql_server.rows(None, _DUMPING), seconds=20)
                    limits = {int(limit) for (limit,) in mysql_server.rows(None, _DUMPING)}
                    assert min(limits) >= 3600
                deque(chunks, maxlen=0)


_DUMPING = (
    "SELECT VARIABLE_VALUE FROM performance_schema.variables_by_thread"
    " JOIN performance_schema.threads USING (THREAD_ID)"
    " WHERE VARIABLE_NAME = 'net_write_timeout' AND PROCESSLIST_INFO LIKE '%FROM `large`%'"
    " AND PROCESSLIST_ID <> CONNECTION_ID()"
)


def test_the_span_is_a_position_in_the_binary_log(
    mysql_server: MysqlServer, programs: Path
) -> None:
    database = create_database(mysql_server)
    span = take(engine(mysql_server, database, programs)).outcome.span
    ((file, offset, *_),) = mysql_server.rows(None, "SHOW BINARY LOG STATUS")
    ((uuid,),) = mysql_server.rows(None, "SELECT @@server_uuid")
    assert span.start_position.split()[0] == f"{file}:{offset}"
    assert span.branch == uuid


def test_definers_can_be_replaced(mysql_server: MysqlServer, programs: Path) -> None:
    database, copy = create_database(mysql_server), fresh_name()
    fill_richly(mysql_server, database, programs / "usr/bin/mysql")
    source = engine(mysql_server, database, programs)
    put_back(source, take(source), mysql_server.url(copy), owner="none")
    query = "SELECT DISTINCT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{}'"
    assert mysql_server.rows(None, query.format(copy)) == [("root@127.0.0.1",)]


def test_a_database_is_replaced_and_swapped_back(mysql_server: MysqlServer, programs: Path) -> None:
    database, target = create_database(mysql_server), create_database(mysql_server)
    for name in (database, target):
        fill_richly(mysql_server, name, programs / "usr/bin/mysql")
    mysql_server.execute(target, "DELETE FROM parted", "CREATE TABLE only_here (a int)")
    before = contents(mysql_server, target)
    source = engine(mysql_server, database, programs)
    taken = take(source)
    options = RestoreRequest(target, replace=True)
    with engine(mysql_server, target, programs).restore(
        options, taken.inventory, Silent()
    ) as session:
        fill(session, taken)
        session.commit()
    assert _rows(mysql_server, target) == contents(mysql_server, database)
    assert _rows(mysql_server, session.retained_as) == before
    assert _programs(mysql_server, target) == _programs(mysql_server, database)
    assert _programs(mysql_server, session.retained_as) == _programs(mysql_server, database)
    another = partial(connect, settings_for(mysql_server, target), mysql_server.password)
    with another() as connection:
        found = swapping.swap_databases(
            connection, another, target=target, incoming=session.retained_as, retained_as="copy"
        )
    [note] = found  # a table has no transactions
    assert "could not be blocked" in note
    assert _rows(mysql_server, target) == before
    assert _programs(mysql_server, target) == _programs(mysql_server, database)
    assert _rows(mysql_server, "copy") == contents(mysql_server, database)


def test_rows_are_added_with_the_rights_that_it_asks_for(
    mysql_server: MysqlServer, programs: Path
) -> None:
    database, target = create_database(mysql_server), create_database(mysql_server)
    fill_richly(mysql_server, database, programs / "usr/bin/mysql")
    taken = take(engine(mysql_server, database, programs))
    client(mysql_server, target, taken.members["schema.sql"], programs / "usr/bin/mysql")
    user = MysqlUser(f"adder_{target}", Secret("a-Word-0"))
    mysql_server.execute(
        None,
        f"CREATE USER {user.name} IDENTIFIED BY '{user.password.reveal()}'",
        f"GRANT DELETE ON {target}.* TO {user.name}",
    )
    adding = MysqlEngine(settings_for(mysql_server, target, user), user.password)
    tables = ("child", "derived", "kinds", "parent", "parted")
    selection = Selection(tables, with_structure=False)
    address = mysql_server.url(target, user.name)
    for right in ("INSERT", "SELECT"):
        with pytest.raises(BadSetting, match="insert into|check") as refused:
            put_back(adding, taken, address, selection=selection)
        assert f"GRANT {right} ON `{target}`." in refused.value.hint
        mysql_server.execute(None, *filter(None, refused.value.hint.split("; ")))
    put_back(adding, taken, address, selection=selection)
    original, added = contents(mysql_server, database), contents(mysql_server, target)
    assert {name: added[name] for name in tables} == {name: original[name] for name in tables}
    mysql_server.execute(target, "TRUNCATE kinds", "ALTER TABLE kinds MODIFY txt varchar(3)")
    with pytest.raises(DatabaseError, match="too long"):
        put_back(adding, taken, address, selection=Selection(("kinds",), with_structure=False))


def test_a_large_table_is_dumped_in_ranges(
    mysql_server: MysqlServer, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_ranges, "SPLIT_BYTES", 64 << 10)
    database, copy = create_database(mysql_server), fresh_name()
    numbers = "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 6000)"
    mysql_server.execute(
        database,
        "SET cte_max_recursion_depth = 10000",
        "CREATE TABLE large (id bigint unsigned PRIMARY KEY, body char(200))",
        f"INSERT INTO large {numbers} SELECT 18446744073709551615 - n * n, 'x' FROM s",
        "ANALYZE TABLE large",
    )
    source = engine(mysql_server, database, programs)
    taken = take(source, streams=3)
    assert [name for name in taken.members if name.startswith("data-")][2:] != []
    put_back(source, taken, mysql_server.url(copy), jobs=3)
    assert contents(mysql_server, copy) == contents(mysql_server, database)


def test_texts_in_triggers_views_and_events_mean_what_they_did(mysql_server: MysqlServer) -> None:
    make_pair(mysql_server, TEXTS, TEXTS)
    assert swap(mysql_server, enabled_events=("daily",)) == []
    for name in (TARGET, KEPT):
        assert texts(mysql_server, name) == AS_WRITTEN
    drop_pair(mysql_server)


def test_a_routine_that_is_the_same_stays_in_a_swap(mysql_server: MysqlServer) -> None:
    """So triggers that call it never miss it."""
    swap_routines(mysql_server)
    assert granted_routines(mysql_server) == [("same",)]
    assert mysql_server.rows(TARGET, "SELECT same(1), other()") == [(1, "new")]
    assert mysql_server.rows(TARGET, "CALL added()") == [(1,)]
    assert mysql_server.rows(KEPT, "SELECT same(1), other()") == [(1, KEPT)]
    mysql_server.execute(None, "DROP USER caller")
    drop_pair(mysql_server)


def test_no_row_is_written_without_its_triggers_in_a_swap(mysql_server: MysqlServer) -> None:
    target, incoming = create_database(mysql_server), create_database(mysql_server)
    for name in (target, incoming):
        mysql_server.execute(name, *STRUCTURE, *TRIGGERS)
    another = partial(connect, settings_for(mysql_server, target), mysql_server.password)
    with writers(mysql_server, target), another() as connection:
        names = {"target": target, "incoming": incoming, "retained_as": f"{target}_kept"}
        assert swapping.swap_databases(connection, another, **names, enabled_events=()) == []
    assert unaudited(mysql_server, f"{target}_kept") == 0
    assert unaudited(mysql_server, target) == 0


def test_databases_of_which_one_has_no_triggers_change_places(mysql_server: MysqlServer) -> None:
    for old, new in PAIRS.values():
        make_pair(mysql_server, old, new)
        before = things(mysql_server, TARGET), things(mysql_server, INCOMING)
        assert swap(mysql_server) == []
        assert (things(mysql_server, KEPT), things(mysql_server, TARGET)) == before
        drop_pair(mysql_server)


def test_a_swap_that_fails_gives_the_triggers_back_before_writers_come(
    mysql_server: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pair(mysql_server, ALL, ALL)
    monkeypatch.setattr(
        rename_strategies,
        "rename_tables_sql",
        lambda renames: "RENAME TABLE nowhere.a TO nowhere.b",
    )
    with writers(mysql_server, TARGET):
        with pytest.raises(DatabaseError, match="not replaced"):
            swap(mysql_server)
    assert unaudited(mysql_server, TARGET) == 0
    drop_pair(mysql_server)


def _rows(server: MysqlServer, database: str) -> dict[str, str]:
    found = contents(server, database)
    return {name: digest for name, digest in found.items() if name not in metadata_tables.TABLES}


def _programs(server: MysqlServer, database: str) -> dict[str, str]:
    """Those that are shown as they were written; asleep and awake are the same here."""
    return {
        name: text.replace("DISABLE", "ENABLE")
        for name, text in definitions(server, database).items()
        if name.startswith(("VIEW", "PROCEDURE", "FUNCTION", "EVENT"))
    } | {
        str(row[0]): repr(row)
        for row in server.rows(
            None,
            "SELECT TRIGGER_NAME, ACTION_ORDER, ACTION_STATEMENT, DEFINER, SQL_MODE FROM"
            f" information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{database}'",
        )
    }


def test_programs_of_the_other_flavour_are_not_used(mysql_server: MysqlServer) -> None:
    database = create_database(mysql_server)
    with pytest.raises(ToolMissing, match="MySQL"):
        take(engine_for(mysql_server, database))


def test_a_dump_does_not_go_to_the_other_flavour(
    mysql_server: MysqlServer, mariadb_server: MysqlServer, programs: Path
) -> None:
    database = create_database(mysql_server)
    taken = take(engine(mysql_server, database, programs))
    with pytest.raises(BadSetting, match="not the same SQL"):
        put_back(engine_for(mariadb_server, database), taken, mariadb_server.url(fresh_name()))
