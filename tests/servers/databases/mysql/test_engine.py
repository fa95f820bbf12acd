"""What goes into a backup comes out of a restore, whatever it is and is called."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.mysql.backup.dump import check_member
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.server.url import to_url
from covetbackup.core.errors import Incomplete
from covetbackup.core.stream.pump import drain
from tests.support.mariadb import MakeUser, MysqlServer, create_database, quoted
from tests.support.mariadb_backup import (
    client,
    contents,
    definitions,
    engine_for,
    fill_richly,
    fresh_name,
    put_back,
    settings_for,
    take,
)
from tests.support.postgres_backup import Notes
from tests.support.streams import source_of


@pytest.mark.parametrize("streams", [1, 3])
def test_a_rich_database_comes_back_equal(
    mariadb_server: MysqlServer, mariadb_database: str, streams: int
) -> None:
    fill_richly(mariadb_server, mariadb_database)
    engine = engine_for(mariadb_server, mariadb_database)
    taken = take(engine, streams=streams)
    copy = fresh_name()
    restored = put_back(engine, taken, mariadb_server.url(copy), jobs=streams, enable_events=True)
    assert differences(taken.inventory, restored) == []
    assert contents(mariadb_server, copy) == contents(mariadb_server, mariadb_database)
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, mariadb_database)
    (warning,) = taken.outcome.warnings
    assert "old_engine" in warning
    assert "MyISAM" in warning


def test_a_host_may_be_written_in_capitals(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(mariadb_database, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (7)")
    settings = replace(settings_for(mariadb_server, mariadb_database), host="LocalHost")
    engine, copy = MysqlEngine(settings, mariadb_server.password), fresh_name()
    put_back(engine, take(engine), to_url(settings.on(copy)))
    assert contents(mariadb_server, copy) == contents(mariadb_server, mariadb_database)


def test_comments_in_the_bodies_of_programs_come_back(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    body = "BEGIN /* don't; */ SET @a = 'x'; -- line\n SET @b = 2; # end\nEND"
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE t (i int)",
        f"CREATE TRIGGER noting BEFORE INSERT ON t FOR EACH ROW {body}",
        f"CREATE TRIGGER too AFTER INSERT ON {mariadb_database}.t FOR EACH ROW {body}",
        f"CREATE PROCEDURE p() {body}",
        f"CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DISABLE DO {body}",
    )
    engine, copy = engine_for(mariadb_server, mariadb_database), fresh_name()
    put_back(engine, take(engine), mariadb_server.url(copy))
    shown = definitions(mariadb_server, mariadb_database)
    assert definitions(mariadb_server, copy) == {
        name: text.replace(f"{mariadb_database}.", "") for name, text in shown.items()
    }


def test_programs_of_any_length_are_restored(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    """What a backup takes without a limit, a restore takes too."""
    fill_richly(mariadb_server, mariadb_database)
    engine = engine_for(mariadb_server, mariadb_database)
    taken = take(engine)
    taken.members["programs.sql"] = _LONG_COMMENT + taken.members["programs.sql"]
    copy = fresh_name()
    put_back(engine, taken, mariadb_server.url(copy), enable_events=True)
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, mariadb_database)


_LONG_COMMENT = (b"-- " + b"x" * 1020 + b"\n") * (65 << 10)


def test_the_stock_client_restores_the_members_in_their_order(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    fill_richly(mariadb_server, mariadb_database)
    # These name the old database: only our own restore can help that.
    mariadb_server.execute(mariadb_database, "DROP VIEW ghost_view", "DROP TABLE numbered")
    taken = take(engine_for(mariadb_server, mariadb_database))
    copy = create_database(mariadb_server, fresh_name())
    for name in ("schema", "data-0001", "data-0002", "programs", "events"):
        client(mariadb_server, copy, taken.members[f"{name}.sql"])
    assert contents(mariadb_server, copy) == contents(mariadb_server, mariadb_database)
    assert definitions(mariadb_server, copy) == definitions(mariadb_server, mariadb_database)


def test_the_inventory_counts_rows_and_objects(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    fill_richly(mariadb_server, mariadb_database)
    taken = take(engine_for(mariadb_server, mariadb_database))
    assert taken.rows["parted"] == 1000
    assert taken.rows["history"] == 1
    assert taken.rows["empty_one"] == 0
    assert "old_engine" not in taken.rows  # no snapshot, so no count that means anything
    assert {sequence.name for sequence in taken.inventory.sequences} == {"counting", "untouched"}
    objects = taken.inventory.objects or {}
    assert objects | {"index": 0, "check": 0} == {
        "view": 3,
        "trigger": 2,
        "function": 2,
        "procedure": 1,
        "package": 1,
        "package body": 1,
        "event": 2,
        "foreign key": 2,
        "partition": 4,
        "index": 0,
        "check": 0,
    }
    assert "absent@nowhere" in taken.inventory.roles


def test_the_span_is_a_position_in_the_binary_log(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(mariadb_database, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)")
    span = take(engine_for(mariadb_server, mariadb_database)).outcome.span
    ((file, offset, *_),) = mariadb_server.rows(None, "SHOW MASTER STATUS")
    ((gtid,),) = mariadb_server.rows(None, "SELECT @@gtid_binlog_pos")
    assert span.start_position == span.stop_position == f"{file}:{offset} {gtid}"
    assert span.branch == "11"


def test_a_restored_table_takes_numbers_from_its_own_sequence(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(
        mariadb_database,
        "CREATE SEQUENCE numbers START WITH 100",
        "CREATE TABLE t (id int DEFAULT nextval(numbers), what text)",
    )
    engine = engine_for(mariadb_server, mariadb_database)
    copy = fresh_name()
    put_back(engine, take(engine), mariadb_server.url(copy))
    mariadb_server.execute(None, f"DROP DATABASE {mariadb_database}")
    mariadb_server.execute(copy, "INSERT INTO t (what) VALUES ('still works')")
    assert mariadb_server.rows(copy, "SELECT id FROM t") == [(100,)]


def test_an_empty_database_comes_back_empty(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    engine = engine_for(mariadb_server, mariadb_database)
    taken = take(engine)
    copy = fresh_name()
    restored = put_back(engine, taken, mariadb_server.url(copy))
    assert differences(taken.inventory, restored) == []
    assert copy in mariadb_server.databases()
    assert contents(mariadb_server, copy) == {}


@pytest.mark.parametrize(
    "name",
    ["--all-databases", 'it\'s "quoted" `back` \\ $(id) #', "dots.and spaces%s ☃", "x" * 64],
)
def test_a_nasty_name_survives(
    mariadb_server: MysqlServer, mariadb_user: MakeUser, mariadb_tidy: MysqlServer, name: str
) -> None:
    """One name for database, account, table, view and column; restored to another nasty name."""
    create_database(mariadb_server, name)
    user = mariadb_user("ALL ON *.*", name=name, password="p'\"\\#`\t €;")
    mariadb_server.execute(
        name,
        f"CREATE TABLE {quoted(name)} ({quoted(name)} text)",
        f"INSERT INTO {quoted(name)} VALUES ('v')",
        f"CREATE VIEW v AS SELECT * FROM {quoted(name)}",
    )
    engine = engine_for(mariadb_server, name, user)
    target = name[:-1] + "z"
    put_back(engine, take(engine), mariadb_server.url(target, user.name))
    assert contents(mariadb_server, target) == contents(mariadb_server, name)


def test_character_set_and_collation_of_the_database_come_back(
    mariadb_server: MysqlServer, mariadb_tidy: MysqlServer
) -> None:
    database = create_database(
        mariadb_server, options="CHARACTER SET latin2 COLLATE latin2_hungarian_ci"
    )
    engine = engine_for(mariadb_server, database)
    copy = fresh_name()
    put_back(engine, take(engine), mariadb_server.url(copy))
    assert mariadb_server.rows(copy, "SELECT @@character_set_database, @@collation_database") == [
        ("latin2", "latin2_hungarian_ci")
    ]


def test_a_backup_beside_transfers_keeps_their_sum(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    """Money moves between two tables that two dump programs read."""
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE left_side (id int PRIMARY KEY, amount int, fat text)",
        "CREATE TABLE right_side LIKE left_side",
        "INSERT INTO left_side SELECT seq, 100, repeat('x', 500) FROM seq_1_to_20000",
        "INSERT INTO right_side SELECT * FROM left_side",
    )
    stop, moved = threading.Event(), threading.Event()
    writer = threading.Thread(
        target=_transfer, args=(mariadb_server, mariadb_database, stop, moved)
    )
    writer.start()
    try:
        assert moved.wait(30)
        engine = engine_for(mariadb_server, mariadb_database)
        taken = take(engine)
    finally:
        stop.set()
        writer.join()
    copy = fresh_name()
    put_back(engine, taken, mariadb_server.url(copy), jobs=2)
    total = "SELECT (SELECT sum(amount) FROM left_side) + (SELECT sum(amount) FROM right_side)"
    assert mariadb_server.rows(copy, total) == [(4_000_000,)]
    assert len([name for name in taken.members if name.startswith("data-")]) == 2


def _transfer(
    server: MysqlServer, database: str, stop: threading.Event, moved: threading.Event
) -> None:
    with server.connect(database) as connection, connection.cursor() as cursor:
        number = 0
        while not stop.is_set():
            number = number % 20000 + 1
            cursor.execute("BEGIN")
            cursor.execute("UPDATE left_side SET amount = amount - 1 WHERE id = %s", [number])
            cursor.execute("UPDATE right_side SET amount = amount + 1 WHERE id = %s", [number])
            cursor.execute("COMMIT")
            moved.set()


def test_the_map_leads_to_the_rows_of_each_table(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    """What a selective restore reads: the header and one section."""
    fill_richly(mariadb_server, mariadb_database)
    taken = take(engine_for(mariadb_server, mariadb_database), streams=2)
    copy = create_database(mariadb_server, fresh_name())
    client(mariadb_server, copy, taken.members["schema.sql"])
    members = json.loads(taken.members["tables.json"])["members"]
    for member, found in members.items():
        data = taken.members[member]
        for offset, length in found["tables"].values():
            client(mariadb_server, copy, data[: found["header"]] + data[offset : offset + length])
    rows = contents(mariadb_server, mariadb_database)
    views = {"a_top", "ghost_view", "z_base"}
    assert contents(mariadb_server, copy) == {
        name: digest for name, digest in rows.items() if name not in views
    }


def test_the_full_check_accepts_a_whole_dump_and_refuses_every_cut(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    fill_richly(mariadb_server, mariadb_database)
    taken = take(engine_for(mariadb_server, mariadb_database), streams=1)
    for name in ("schema.sql", "data-0001.sql", "programs.sql", "events.sql"):
        whole = taken.members[name]
        check = check_member(name)
        assert check is not None
        drain(source_of([whole]), [check])
        for end in (0, len(whole) // 2, len(whole) - 20):
            with pytest.raises(Incomplete):
                drain(source_of([whole[:end]]), [check])
    assert check_member("users.sql") is None


def test_accounts_and_grants_are_in_the_backup(
    mariadb_server: MysqlServer, mariadb_database: str, mariadb_user: MakeUser
) -> None:
    user = mariadb_user(f"SELECT ON {mariadb_database}.*")
    mariadb_server.execute(None, "CREATE ROLE auditors", f"GRANT auditors TO '{user.name}'@'%'")
    try:
        script = take(engine_for(mariadb_server, mariadb_database)).members["users.sql"].decode()
    finally:
        mariadb_server.execute(None, "DROP ROLE auditors")
    assert f"CREATE USER `{user.name}`@`%`" in script
    assert f"GRANT SELECT ON `{mariadb_database}`.* TO `{user.name}`@`%`" in script
    assert "CREATE ROLE 'auditors'" in script
    assert user.password.reveal() not in script


def test_definers_are_kept_replaced_or_given_to_another(
    mariadb_server: MysqlServer, mariadb_database: str, mariadb_user: MakeUser
) -> None:
    fill_richly(mariadb_server, mariadb_database)
    heir = mariadb_user("ALL ON *.*")
    engine = engine_for(mariadb_server, mariadb_database)
    taken = take(engine)
    expected = {
        "keep": {"root@127.0.0.1", "absent@nowhere"},
        "none": {"root@127.0.0.1"},
        f"{heir.name}@%": {f"{heir.name}@%"},
    }
    for owner, definers in expected.items():
        copy, notes = fresh_name(), Notes()
        put_back(engine, taken, mariadb_server.url(copy), owner=owner, progress=notes)
        query = (
            "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = database() UNION"
            " SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = database()"
            " UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = database()"
            " UNION SELECT DEFINER FROM information_schema.ROUTINES"
            " WHERE ROUTINE_SCHEMA = database()"
        )
        assert {definer for (definer,) in mariadb_server.rows(copy, query)} == definers
        assert any("absent@nowhere" in line for line in notes.lines) == (owner == "keep")
