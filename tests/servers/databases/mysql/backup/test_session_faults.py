"""A backup that cannot be whole fails, says why, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest

from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.mysql.backup import snapshot
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.errors import (
    Cancelled,
    CovetError,
    DatabaseError,
    DatabaseUnavailable,
    Incomplete,
    ServerBusy,
    SinkFailed,
    SourceFailed,
    ToolMissing,
    Unreadable,
)
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.mariadb import MakeUser, MysqlServer
from tests.support.mariadb_backup import engine_for, fill_richly, settings_for, take
from tests.support.streams import MemorySink, eventually, nothing_left

_SESSIONS = (
    "SELECT ID, INFO FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
    " AND USER NOT IN ('system user', 'event_scheduler')"
)


@pytest.fixture
def big_database(mariadb_server: MysqlServer, mariadb_database: str) -> str:
    """Two tables of enough rows that a dump program waits for its reader before the end."""
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE big AS SELECT seq, repeat('x', 1000) AS fat FROM seq_1_to_30000",
        "CREATE TABLE large AS SELECT * FROM big",
    )
    return mariadb_database


@contextmanager
def nothing_left_there(server: MysqlServer) -> Iterator[None]:
    """Fails when the body leaves a session on the server, a child process or a thread."""
    with nothing_left():
        yield
    assert eventually(lambda: server.rows(None, _SESSIONS) == [])


def test_what_cannot_be_read_is_named_with_its_grants(
    mariadb_server: MysqlServer, mariadb_database: str, mariadb_user: MakeUser
) -> None:
    fill_richly(mariadb_server, mariadb_database)
    mariadb_server.execute(mariadb_database, "CREATE TABLE hidden (i int)")
    reader = mariadb_user(
        f"SELECT ON {mariadb_database}.parent",
        f"INSERT ON {mariadb_database}.child",
        f"EXECUTE ON {mariadb_database}.*",
    )
    with pytest.raises(Unreadable) as caught:
        take(engine_for(mariadb_server, mariadb_database, reader))
    for name in ("table child", "hidden from this account", "triggers", "events", "clear_log"):
        assert name in caught.value.message
    assert "table parent" not in caught.value.message
    grants = caught.value.hint.split(": ", 1)[1].split(";")
    mariadb_server.execute(None, *[grant for grant in grants if grant.strip()])
    taken = take(engine_for(mariadb_server, mariadb_database, reader))
    assert (
        taken.inventory.objects
        == take(engine_for(mariadb_server, mariadb_database)).inventory.objects
    )


def test_rights_on_a_pattern_of_names_count(
    mariadb_server: MysqlServer, mariadb_database: str, mariadb_user: MakeUser
) -> None:
    mariadb_server.execute(mariadb_database, "CREATE TABLE t (i int)")
    reader = mariadb_user(
        "SELECT, SHOW VIEW, TRIGGER, EVENT ON `shop\\_%`.*", "SELECT ON mysql.proc"
    )
    taken = take(engine_for(mariadb_server, mariadb_database, reader))
    assert [table.name for table in taken.inventory.tables] == ["t"]


def test_storage_that_rests_too_long_is_told_what_to_set(
    mariadb_server: MysqlServer, big_database: str
) -> None:
    writing = f"{_SESSIONS} AND INFO LIKE '%SQL_NO_CACHE%'"
    mariadb_server.execute(None, "SET GLOBAL net_write_timeout = 1")
    try:
        with nothing_left_there(mariadb_server), pytest.raises(SourceFailed) as failed:
            with engine_for(mariadb_server, big_database).backup(
                BackupOptions("", 1), Silent()
            ) as session:
                for member in chain.from_iterable(session.groups()):
                    with member.source as chunks:
                        if member.name.startswith("data"):
                            next(chunks)
                            assert eventually(lambda: mariadb_server.rows(None, writing) != [])
                            assert eventually(lambda: mariadb_server.rows(None, writing) == [])
                        deque(chunks, maxlen=0)
    finally:
        mariadb_server.execute(None, "SET GLOBAL net_write_timeout = 60")
    assert "SET GLOBAL net_write_timeout = 3600" in failed.value.hint


def test_without_the_right_to_lock_one_stream_is_taken_and_said(
    mariadb_server: MysqlServer, big_database: str, mariadb_user: MakeUser
) -> None:
    reader = mariadb_user(
        f"SELECT, SHOW VIEW, TRIGGER, EVENT ON {big_database}.*", "SELECT ON mysql.proc"
    )
    taken = take(engine_for(mariadb_server, big_database, reader))
    assert any("RELOAD" in warning for warning in taken.outcome.warnings)
    assert [name for name in taken.members if name.startswith("data")] == ["data-0001.sql"]
    assert taken.rows == {}
    ((file, offset, *_),) = mariadb_server.rows(None, "SHOW MASTER STATUS")
    assert taken.outcome.span.start_position.startswith(f"{file}:{offset}")


def test_a_lock_that_is_not_to_be_had_gives_one_stream(
    mariadb_server: MysqlServer, big_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LOCK_SECONDS", 1)
    with mariadb_server.connect(big_database) as connection:
        busy = threading.Thread(target=_query, args=(connection, _SLOW_WRITE))
        busy.start()
        writing = f"SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO = '{_SLOW_WRITE}'"
        assert eventually(lambda: bool(mariadb_server.rows(None, writing)))
        taken = take(engine_for(mariadb_server, big_database))
        mariadb_server.execute(None, f"KILL {connection.thread_id()}")
        busy.join()
    assert any("blocked the lock" in warning for warning in taken.outcome.warnings)
    assert [table.exact for table in taken.inventory.tables] == [False, False]


_SLOW_WRITE = "UPDATE big SET fat = sleep(30) LIMIT 1"


def _query(connection, statement: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except Exception:
        pass  # it was killed


def test_writes_go_on_while_the_rows_are_read(
    mariadb_server: MysqlServer, big_database: str
) -> None:
    with engine_for(mariadb_server, big_database).backup(BackupOptions("", 2), Silent()) as session:
        groups = session.groups()
        next(groups)
        next(groups)
        mariadb_server.execute(
            big_database, "SET lock_wait_timeout = 5", "INSERT INTO big VALUES (0, '')"
        )


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE big ADD COLUMN more int",
        "CREATE TABLE another (i int)",
        "DROP TABLE large",
        "CREATE TRIGGER t BEFORE INSERT ON big FOR EACH ROW SET NEW.fat = ''",
    ],
)
def test_a_definition_that_changes_before_the_rows_are_read_fails_the_backup(
    mariadb_server: MysqlServer, big_database: str, change: str
) -> None:
    engine = engine_for(mariadb_server, big_database)
    with nothing_left_there(mariadb_server), pytest.raises(ServerBusy, match="changed"):
        with engine.backup(BackupOptions("", 2), Silent()) as session:
            groups = session.groups()
            next(groups)
            mariadb_server.execute(big_database, change)
            next(groups)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("TRUNCATE later", ServerBusy),
        ("ALTER TABLE later ADD COLUMN more int", ServerBusy),
        ("ALTER TABLE later ADD COLUMN more int FIRST, ALGORITHM = COPY", ServerBusy),
        ("DROP TABLE later", Incomplete),
    ],
)
def test_a_table_changed_before_its_turn_fails_the_backup(
    mariadb_server: MysqlServer, big_database: str, change: str, error: type[CovetError]
) -> None:
    """An old snapshot of a truncated table would be an empty one."""
    mariadb_server.execute(
        big_database, "DROP TABLE large", "CREATE TABLE later AS SELECT 1 AS one"
    )
    engine = engine_for(mariadb_server, big_database)
    with nothing_left_there(mariadb_server), pytest.raises(error, match="later|altered, emptied"):
        with engine.backup(BackupOptions("", 1), Silent()) as session:
            groups = session.groups()
            next(groups)
            (member,) = next(groups)
            mariadb_server.execute(big_database, "SET lock_wait_timeout = 5", change)
            pump(member.source, [], MemorySink())
            session.finish()


def test_a_view_of_what_is_gone_fails_the_backup_and_is_named(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE t (i int)",
        "CREATE VIEW broken AS SELECT i FROM t",
        "DROP TABLE t",
    )
    with pytest.raises(SourceFailed, match="broken") as caught:
        take(engine_for(mariadb_server, mariadb_database))
    assert "view" in caught.value.hint


def test_a_dump_whose_session_is_killed_is_no_dump(
    mariadb_server: MysqlServer, big_database: str
) -> None:
    engine = engine_for(mariadb_server, big_database)
    dumping = (
        "SELECT ID FROM information_schema.PROCESSLIST"
        f" WHERE DB = '{big_database}' AND INFO LIKE 'SELECT /*!40001%'"
    )
    with nothing_left_there(mariadb_server), pytest.raises(SourceFailed) as caught:
        with engine.backup(BackupOptions("", 2), Silent()) as session:
            groups = session.groups()
            next(groups)
            members = next(groups)
            assert eventually(lambda: len(mariadb_server.rows(None, dumping)) == 2)
            for (session_id,) in mariadb_server.rows(None, dumping):
                mariadb_server.execute(None, f"KILL {session_id}")
            for member in members:
                pump(member.source, [], MemorySink())
    assert "killed" in caught.value.hint


def test_a_failing_sink_leaves_no_session_and_no_child(
    mariadb_server: MysqlServer, big_database: str
) -> None:
    engine = engine_for(mariadb_server, big_database)
    with nothing_left_there(mariadb_server), pytest.raises(SinkFailed, match="full"):
        with engine.backup(BackupOptions("", 2), Silent()) as session:
            groups = session.groups()
            next(groups)
            for member in next(groups):
                sink = MemorySink(fails_after=1_000_000, error=SinkFailed("full"))
                pump(member.source, [], sink)


class _Cancelling(Silent):
    """Cancels at the first byte of the rows."""

    def __init__(self) -> None:
        self.armed = False

    def note(self, text: str) -> None:
        self.armed = self.armed or "were blocked" in text

    def advance(self, count: int) -> None:
        if self.armed:
            raise Cancelled


def test_a_cancel_leaves_no_session_and_no_child(
    mariadb_server: MysqlServer, big_database: str
) -> None:
    engine = engine_for(mariadb_server, big_database)
    with nothing_left_there(mariadb_server), pytest.raises(Cancelled):
        take(engine, progress=_Cancelling())


def test_a_cancel_ends_a_long_count(
    mariadb_server: MysqlServer, big_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from covetbackup.core.databases.mysql.inventory import counts

    def endless(connection, database, tables, *, stop):
        return connection.value("SELECT sleep(600)")

    monkeypatch.setattr(counts, "count", endless)
    engine = engine_for(mariadb_server, big_database)
    with nothing_left_there(mariadb_server), pytest.raises(Cancelled):
        with engine.backup(BackupOptions("", 2), Silent()) as session:
            groups = session.groups()
            next(groups)
            next(groups)
            raise Cancelled


def test_kill_9_leaves_no_session_and_no_dump_program(
    mariadb_server: MysqlServer, big_database: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _BACKING_UP, mariadb_server.url(big_database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(mariadb_server.password.reveal().encode())
        process.stdin.close()
        assert process.stdout.readline() == b"reading\n"
        os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: mariadb_server.rows(None, _SESSIONS) == [], seconds=20)


_BACKING_UP = """
import sys, time
from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.server.url import parse_url
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
engine = MysqlEngine(parse_url(sys.argv[1]), Secret(sys.stdin.readline()))
with engine.backup(BackupOptions("", 2), Silent()) as session:
    groups = session.groups()
    next(groups)
    next(groups)
    print("reading", flush=True)
    time.sleep(60)
"""


def test_no_child_shows_the_password(mariadb_server: MysqlServer, big_database: str) -> None:
    engine = engine_for(mariadb_server, big_database)
    password = mariadb_server.password.reveal().encode()
    with engine.backup(BackupOptions("", 2), Silent()) as session:
        groups = session.groups()
        next(groups)
        next(groups)
        dumping = list(_processes(b"--no-create-info"))
        assert dumping
        for place in dumping:
            assert password not in (place / "cmdline").read_bytes()
            assert password not in (place / "environ").read_bytes()


def _processes(word: bytes) -> Iterator[Path]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if word in (place / "cmdline").read_bytes():
                yield place
        except OSError:
            continue


def test_a_dump_program_that_lies_is_found_out(
    mariadb_server: MysqlServer, mariadb_database: str, tmp_path: Path
) -> None:
    """Status 0, but no end mark."""
    mariadb_server.execute(mariadb_database, "CREATE TABLE t (i int)")
    engine = MysqlEngine(
        settings_for(mariadb_server, mariadb_database),
        mariadb_server.password,
        client_directories=[_pretenders(tmp_path, "10.11.19-MariaDB")],
    )
    with pytest.raises(Incomplete, match="last line"):
        take(engine)


def test_clients_of_the_other_flavour_are_not_used(
    mariadb_server: MysqlServer, mariadb_database: str, tmp_path: Path
) -> None:
    engine = MysqlEngine(
        settings_for(mariadb_server, mariadb_database),
        mariadb_server.password,
        client_directories=[_pretenders(tmp_path, "8.4.3")],
    )
    with pytest.raises(ToolMissing, match="MariaDB") as caught:
        take(engine)
    assert "mariadb-client" in caught.value.hint


def _pretenders(directory: Path, version: str) -> Path:
    for name in ("mysqldump", "mysql"):
        program = directory / name
        program.write_text(
            f'#!/bin/sh\ntest "$1" = --version && echo "{name}  Ver {version} for Linux"\nexit 0\n'
        )
        program.chmod(0o755)
    return directory


def test_a_database_that_is_not_there_is_named(mariadb_server: MysqlServer) -> None:
    with pytest.raises(DatabaseUnavailable, match="no_such_database"):
        take(engine_for(mariadb_server, "no_such_database"))
    with pytest.raises(DatabaseError):
        engine_for(mariadb_server, "no_such_database").probe()
