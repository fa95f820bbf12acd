"""Rows of a backup into tables that are there: all of them or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Timer
from typing import Any

import pytest

from covetbackup.core.databases.mysql.restore.into_existing import data_only, foreign_keys
from covetbackup.core.databases.mysql.restore.statement_sink import StatementSink
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting, Cancelled, CovetError, DatabaseError, Incomplete
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.stream.process import STALL_SECONDS
from tests.support.mariadb import MakeUser, MysqlServer, MysqlUser, create_database
from tests.support.mariadb_backup import (
    Taken,
    client,
    contents,
    definitions,
    engine_for,
    fill,
    fill_richly,
    put_back,
    settings_for,
    take,
)
from tests.support.paths import ROOT
from tests.support.postgres_backup import Notes
from tests.support.streams import eventually

SOURCE, TARGET = "rows_from", "rows_to"
TABLES = ("parent", "child", "kinds", "parted", "every_byte", "derived", "line\nend", "wide")
_SESSIONS = f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{TARGET}'"


@pytest.fixture(scope="module")
def taken(mariadb_server: MysqlServer) -> Iterator[Taken]:
    create_database(mariadb_server, SOURCE)
    fill_richly(mariadb_server, SOURCE)
    yield take(engine_for(mariadb_server, SOURCE), streams=2)
    mariadb_server.execute(None, f"DROP DATABASE {SOURCE}")


@pytest.fixture
def server(taken: Taken, mariadb_tidy: MysqlServer) -> MysqlServer:
    """With a database of the same tables, which are empty."""
    create_database(mariadb_tidy, TARGET)
    client(mariadb_tidy, TARGET, taken.members["schema.sql"])
    return mariadb_tidy


def add(
    server: MysqlServer,
    taken: Taken,
    *tables: str,
    notes: Progress | None = None,
    user: MysqlUser | None = None,
) -> None:
    selection = Selection(tables, with_structure=False)
    engine = engine_for(server, TARGET, user)
    target = server.url(TARGET, user.name if user else "root")
    put_back(engine, taken, target, selection=selection, progress=notes)


def test_rows_come_as_they_were_and_beside_those_that_are_there(
    server: MysqlServer, taken: Taken
) -> None:
    tables = [name for name in TABLES if name in taken.rows]
    before = definitions(server, TARGET)
    add(server, taken, *tables)
    original, added = contents(server, SOURCE), contents(server, TARGET)
    assert {name: added[name] for name in tables} == {name: original[name] for name in tables}
    assert definitions(server, TARGET) == before
    server.execute(TARGET, "INSERT INTO log (what) VALUES ('old')")
    add(server, taken, "log")
    assert len(server.rows(TARGET, "SELECT what FROM log")) == (taken.rows["log"] or 0) + 1


@pytest.mark.parametrize(
    ("change", "tables", "words"),
    [
        ("DROP TABLE parted", ("parted",), "does not have, .*: parted"),
        ("ALTER TABLE parted ENGINE = MyISAM", ("kinds", "parted"), "no transactions: parted$"),
        ("ALTER TABLE log MODIFY at timestamp FIRST", ("log",), "other columns"),
        ("ALTER TABLE latin MODIFY t varchar(3)", ("kinds", "latin"), "too long"),
        ("ALTER TABLE latin CONVERT TO CHARACTER SET ascii", ("latin",), "Incorrect string"),
        ("ALTER TABLE derived MODIFY tripled int", ("derived",), "computed .*: derived.tripled"),
        ("SELECT 1", ("a_top",), "is a view"),
        ("SELECT 1", ("history",), "a history"),
        ("SELECT 1", ("nowhere",), "no table or view nowhere"),
        ("SELECT 1", ("child",), "foreign key has a parent"),
        ("INSERT INTO parent VALUES (1, NULL)", ("log", "parent"), "Duplicate entry"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_has_changed(
    server: MysqlServer, taken: Taken, change: str, tables: tuple[str, ...], words: str
) -> None:
    server.execute(TARGET, change)
    before = contents(server, TARGET)
    with pytest.raises(CovetError, match=words) as caught:
        add(server, taken, *tables)
    assert isinstance(caught.value, BadSetting | DatabaseError)
    assert contents(server, TARGET) == before


def test_a_row_that_goes_while_those_come_that_refer_to_it_is_missed(
    server: MysqlServer, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute(TARGET, "ALTER TABLE parent DROP FOREIGN KEY fk_child")
    add(server, taken, "parent")
    looking = foreign_keys.refuse_broken

    def look_meanwhile(*args: Any, **stopping: Any) -> None:
        with server.connect(TARGET) as other, other.cursor() as cursor:
            cursor.execute("SET autocommit = 0, foreign_key_checks = 0")
            cursor.execute("DELETE FROM parent")
            ending = Timer(1, other.commit)
            ending.start()
            try:
                looking(*args, **stopping)
            finally:
                ending.join()

    monkeypatch.setattr(foreign_keys, "refuse_broken", look_meanwhile)
    with pytest.raises(DatabaseError, match="foreign key has a parent"):
        add(server, taken, "child")
    assert server.rows(TARGET, "SELECT count(*) FROM child") == [(0,)]


def test_looking_at_the_keys_can_be_cancelled(server: MysqlServer, taken: Taken) -> None:
    server.execute(TARGET, "ALTER TABLE parent DROP FOREIGN KEY fk_child")
    add(server, taken, "parent")
    before = contents(server, TARGET)

    class Impatient(Silent):
        def advance(self, count: int) -> None:
            running = server.rows(None, "SELECT INFO FROM information_schema.PROCESSLIST")
            if any(
                "LEFT JOIN" in str(query) and "SHARE MODE" in str(query) for (query,) in running
            ):
                raise Cancelled

    with server.connect(TARGET) as other, other.cursor() as cursor:
        cursor.execute("SET autocommit = 0, foreign_key_checks = 0")
        cursor.execute("DELETE FROM parent")
        with pytest.raises(Cancelled):
            add(server, taken, "child", notes=Impatient())
    assert contents(server, TARGET) == before


def test_a_row_that_was_broken_before_is_told_as_such(server: MysqlServer, taken: Taken) -> None:
    server.execute(TARGET, "SET foreign_key_checks = 0", "INSERT INTO child VALUES (99, 99)")
    with pytest.raises(DatabaseError, match="added now or there before") as caught:
        add(server, taken, "child", "parent")
    assert "mended or removed" in caught.value.hint


def test_a_restore_that_says_nothing_for_long_lets_its_locks_go(
    server: MysqlServer, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_only.SILENCE_SECONDS >= STALL_SECONDS
    monkeypatch.setattr(data_only, "SILENCE_SECONDS", 2)
    before = contents(server, TARGET)
    selection = Selection(("log",), with_structure=False)
    options = RestoreRequest(TARGET, selection=selection)
    with pytest.raises(CovetError):
        with engine_for(server, TARGET).restore(options, taken.inventory, Silent()) as session:
            fill(session, taken)
            [(number,)] = server.rows(None, _SESSIONS)
            query = f"SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {number}"
            assert eventually(lambda: not server.rows(None, query), seconds=60)
            session.commit()
    assert contents(server, TARGET) == before


def test_what_newer_dump_programs_write_to_commit_rows_commits_none(server: MysqlServer) -> None:
    section = (
        b"--\n-- Dumping data for table `log`\n--\n\n"
        b"SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0;\n"
        b"/*!40000 ALTER TABLE `log` DISABLE KEYS */;\nINSERT INTO `log` (what) VALUES ('x');\n"
        b"/*!40000 ALTER TABLE `log` ENABLE KEYS */;\n"
        b"COMMIT;\nSET AUTOCOMMIT=@OLD_AUTOCOMMIT;\n"
    )
    written: list[int] = []
    with connect(settings_for(server, TARGET), server.password) as connection:
        connection.use(TARGET)
        for statement in data_only.SESSION:
            connection.execute(statement)
        sink = StatementSink(connection, written.append)
        sink.write(section)
        sink.commit()
        connection.execute("ROLLBACK")
        with pytest.raises(Incomplete, match="COMMIT AND CHAIN"):
            sink.write(b"COMMIT AND CHAIN;\n")
    assert written == [1]
    assert server.rows(TARGET, "SELECT count(*) FROM log") == [(0,)]


def test_nothing_but_rows_is_added(server: MysqlServer, taken: Taken) -> None:
    before = contents(server, TARGET)
    selection = Selection(("log",))
    options = RestoreRequest(TARGET, selection=selection, into_existing=True)
    with pytest.raises(BadSetting, match="only rows"):
        engine_for(server, TARGET).restore(options, taken.inventory, Silent())
    assert contents(server, TARGET) == before


def test_nobody_waits_long_for_a_table_that_others_hold(
    server: MysqlServer, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_only, "LOCK_SECONDS", 1)
    with server.connect(TARGET) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES log WRITE")
        with pytest.raises(DatabaseError, match="Lock wait timeout"):
            add(server, taken, "kinds", "log")
    assert server.rows(TARGET, "SELECT count(*) FROM kinds") == [(0,)]


def test_triggers_that_run_are_told(server: MysqlServer, taken: Taken) -> None:
    server.execute(TARGET, "CREATE TRIGGER t BEFORE INSERT ON log FOR EACH ROW SET @a = 1")
    notes = Notes()
    add(server, taken, "log", notes=notes)
    assert "trigger t of log runs for every row" in notes.lines


def test_triggers_keep_the_foreign_keys_of_what_they_write(
    server: MysqlServer, taken: Taken, mariadb_user: MakeUser
) -> None:
    server.execute(
        TARGET,
        "ALTER TABLE parent DROP FOREIGN KEY fk_child",
        "CREATE TABLE noted (child int, CONSTRAINT kept FOREIGN KEY (child) REFERENCES child (id))",
        "CREATE TRIGGER t AFTER INSERT ON child FOR EACH ROW INSERT INTO noted VALUES (new.id)",
    )
    add(server, taken, "child", "parent")  # those that are referred to come first
    assert server.rows(TARGET, "SELECT count(*) FROM noted") == [(taken.rows["child"],)]
    trigger = "BEFORE INSERT ON kinds FOR EACH ROW INSERT INTO noted VALUES (-1)"
    server.execute(TARGET, f"CREATE TRIGGER u {trigger}")
    before = contents(server, TARGET)
    blind = mariadb_user(f"SELECT, INSERT ON {TARGET}.*")  # it sees no triggers
    for user in (None, blind):
        with pytest.raises(DatabaseError, match="foreign key constraint fails"):
            add(server, taken, "kinds", user=user)
    assert contents(server, TARGET) == before


def test_where_tables_refer_to_each_other_it_is_told_what_triggers_may_break(
    server: MysqlServer, taken: Taken
) -> None:
    server.execute(TARGET, "CREATE TRIGGER t BEFORE INSERT ON child FOR EACH ROW SET @a = 1")
    notes = Notes()
    add(server, taken, "child", "parent", notes=notes)
    assert foreign_keys.UNCHECKED in notes.lines


def test_a_source_that_ends_early_or_a_cancel_adds_nothing(
    server: MysqlServer, taken: Taken
) -> None:
    before = contents(server, TARGET)
    selection = Selection(("kinds", "parted"), with_structure=False)
    options = RestoreRequest(TARGET, selection=selection)
    for error in (Cancelled, Incomplete):
        with (
            pytest.raises(error),
            engine_for(server, TARGET).restore(options, taken.inventory, Silent()) as session,
        ):
            fill(session, taken)
            assert session.inventory().row_count > 1000
            raise error("no more")
    assert contents(server, TARGET) == before


def test_a_session_that_is_killed_adds_nothing(server: MysqlServer, taken: Taken) -> None:
    before = contents(server, TARGET)
    selection = Selection(("parted",), with_structure=False)
    options = RestoreRequest(TARGET, selection=selection)
    with pytest.raises(CovetError):
        with engine_for(server, TARGET).restore(options, taken.inventory, Silent()) as session:
            fill(session, taken)
            [(number,)] = server.rows(None, _SESSIONS)
            server.execute(None, f"KILL {number}")
            session.commit()
    assert contents(server, TARGET) == before


def test_kill_9_before_the_commit_adds_nothing(server: MysqlServer, taken: Taken) -> None:
    before = contents(server, TARGET)
    command = [sys.executable, "-c", _ADDING, server.url(TARGET)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    with process:
        process.stdin.write(server.password.reveal().encode())
        process.stdin.close()
        assert process.stdout.readline() == b"there\n"
        os.kill(process.pid, signal.SIGKILL)
    assert contents(server, TARGET) == before


_ADDING = """
import sys, time
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.mysql.restore.statement_sink import StatementSink
from covetbackup.core.databases.mysql.restore.into_existing.data_only import SESSION
from covetbackup.core.databases.mysql.server.url import parse_url
from covetbackup.core.stream.secret import Secret
settings = parse_url(sys.argv[1])
connection = connect(settings, Secret(sys.stdin.readline()))
connection.use(settings.database)
for statement in SESSION:
    connection.execute(statement)
StatementSink(connection, lambda count: None).write(b"INSERT INTO `log` (what) VALUES ('x');\\n")
print("there", flush=True)
time.sleep(60)
"""
