"""A backup that cannot be whole fails, says why, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from covetbackup.core.databases.base import BackupOptions, Member
from covetbackup.core.databases.postgresql.backup import pgdump, snapshot
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.errors import (
    Cancelled,
    Incomplete,
    ServerBusy,
    SinkFailed,
    SourceFailed,
    Unreadable,
)
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import engine_for, take
from tests.support.streams import MemorySink, eventually, nothing_left

_SESSIONS = (
    "SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'covetbackup%'"
)


@pytest.fixture
def big_database(postgres_server: PostgresServer, postgres_database: str) -> str:
    """Enough rows that pg_dump waits for its reader before the end."""
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE big AS SELECT g, repeat('x', 1000) AS fat FROM generate_series(1, 20000) g",
    )
    return postgres_database


@contextmanager
def nothing_left_there(server: PostgresServer) -> Iterator[None]:
    """Fails when the body leaves a session on the server, a child process or a thread."""
    with nothing_left():
        yield
    assert eventually(lambda: server.rows("postgres", _SESSIONS) == [])


def test_unreadable_objects_are_named_with_their_grants(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    reader = postgres_role()
    postgres_server.execute(
        postgres_database,
        'CREATE TABLE "hidden table" (i int)',
        "CREATE TABLE shown (i int)",
        f"GRANT SELECT ON shown TO {reader.name}",
        "CREATE SEQUENCE hidden_sequence",
        "CREATE SCHEMA closed",
        "CREATE TABLE closed.inside (i int)",
        f"GRANT SELECT ON closed.inside TO {reader.name}",
        "SELECT lo_create(4711)",
    )
    with pytest.raises(Unreadable) as caught:
        take(engine_for(postgres_server, postgres_database, reader))
    for name in (
        'table public."hidden table"',
        "sequence public.hidden_sequence",
        "schema closed",
        "large object 4711",
    ):
        assert name in caught.value.message
    assert "shown" not in caught.value.message
    grants = [grant.strip() for grant in caught.value.hint.split(": ", 1)[1].split(";")]
    postgres_server.execute(postgres_database, *[grant for grant in grants if grant])
    assert take(engine_for(postgres_server, postgres_database, reader)).inventory.large_objects == 1


def test_many_unreadable_objects_are_counted(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    postgres_server.execute(
        postgres_database, *[f"CREATE TABLE t{number} ()" for number in range(30)]
    )
    with pytest.raises(Unreadable, match="30 objects.* and 10 more"):
        take(engine_for(postgres_server, postgres_database, postgres_role()))


def test_rows_behind_row_level_security_fail_the_backup(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    reader = postgres_role("IN ROLE pg_read_all_data")
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE guarded AS SELECT 1 AS i",
        "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
    )
    with pytest.raises(Unreadable, match=r"public\.guarded behind row-level security") as caught:
        take(engine_for(postgres_server, postgres_database, reader))
    postgres_server.execute(postgres_database, caught.value.hint.split(": ", 1)[1])
    assert take(engine_for(postgres_server, postgres_database, reader)).rows == {
        "public.guarded": 1
    }


def test_a_role_that_may_not_see_passwords_gets_globals_without_them(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    reader = postgres_role()
    taken = take(engine_for(postgres_server, postgres_database, reader))
    script = taken.members["globals.sql"].decode()
    assert f"CREATE ROLE {reader.name}" in script
    assert "PASSWORD" not in script
    assert any("no password hashes" in warning for warning in taken.outcome.warnings)


def test_a_truncate_cannot_come_between_snapshot_and_dump(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """Readers of an older snapshot would see an empty table, without any error."""
    postgres_server.execute(postgres_database, "CREATE TABLE t AS SELECT 1 AS one")
    with (
        engine_for(postgres_server, postgres_database).backup(
            BackupOptions("logical"), Silent()
        ) as session,
        postgres_server.connect(postgres_database) as other,
    ):
        other.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("TRUNCATE t")
        dump = _read_all(session.groups())["dump.pgc"]
        outcome = session.finish()
        other.execute("TRUNCATE t")
    assert [table.rows for table in outcome.inventory.tables] == [1]
    assert b"\x02\x00\x00\x001\n" in dump  # one block of two bytes: the row


def test_a_waiting_truncate_fails_the_backup_and_is_named(
    postgres_server: PostgresServer, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgdump, "LOCK_SECONDS", 1)
    postgres_server.execute(postgres_database, "CREATE TABLE t AS SELECT 1 AS one")
    engine = engine_for(postgres_server, postgres_database)
    other = postgres_server.connect(postgres_database)
    other.execute("SET application_name = 'nightly truncate'")
    waiting = threading.Thread(target=other.execute, args=("TRUNCATE t",))
    try:
        with (
            pytest.raises(ServerBusy, match=r"t by pid \d+ \(postgres, nightly truncate\)"),
            engine.backup(BackupOptions("logical"), Silent()) as session,
        ):
            waiting.start()
            blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"
            assert eventually(lambda: bool(postgres_server.rows(postgres_database, blocked)))
            _read_all(session.groups())
    finally:
        waiting.join()
        other.close()


def test_a_table_that_stays_locked_fails_the_backup(
    postgres_server: PostgresServer, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LOCK_SECONDS", 1)
    postgres_server.execute(postgres_database, "CREATE TABLE t ()")
    engine = engine_for(postgres_server, postgres_database)
    with postgres_server.connect(postgres_database) as other, other.transaction():
        other.execute("SET application_name = 'migration'")
        other.execute("LOCK TABLE t")
        with nothing_left(), pytest.raises(ServerBusy, match=r"t by pid \d+ .*migration"):
            take(engine)


def test_a_dump_whose_session_is_killed_is_no_dump(
    postgres_server: PostgresServer, big_database: str
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'covetbackup%' AND query LIKE 'COPY%'"
    )
    sink = _ActingSink(lambda: postgres_server.execute("postgres", kill))
    engine = engine_for(postgres_server, big_database)
    with nothing_left_there(postgres_server):
        with pytest.raises(SourceFailed, match="pg_dump"):
            _dump_into(engine, sink)
        assert sink.committed is None


def test_a_failing_sink_leaves_no_session_and_no_child(
    postgres_server: PostgresServer, big_database: str
) -> None:
    sink = MemorySink(fails_after=100_000, error=SinkFailed("disk gone"))
    engine = engine_for(postgres_server, big_database)
    with nothing_left_there(postgres_server), pytest.raises(SinkFailed, match="disk gone"):
        _dump_into(engine, sink)


def test_a_cancel_ends_the_session_on_the_server(
    postgres_server: PostgresServer, big_database: str
) -> None:
    def cancel() -> None:
        assert len(postgres_server.rows("postgres", _SESSIONS)) >= 2
        raise Cancelled

    engine = engine_for(postgres_server, big_database)
    with nothing_left_there(postgres_server), pytest.raises(Cancelled):
        _dump_into(engine, _ActingSink(cancel))


def test_a_cancel_ends_a_long_count(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """The inventory is read beside the dump; a slow one must not outlive a cancelled backup."""
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE slow AS SELECT g FROM generate_series(1, 3000000) g",
    )
    engine = engine_for(postgres_server, postgres_database)
    with nothing_left_there(postgres_server), pytest.raises(Cancelled):
        with engine.backup(BackupOptions("logical"), Silent()):
            raise Cancelled


def test_kill_9_leaves_no_session_and_no_pg_dump(
    postgres_server: PostgresServer, big_database: str
) -> None:
    program = (
        "import os, sys, time\n"
        "from covetbackup.core.databases.base import BackupOptions\n"
        "from covetbackup.core.databases.postgresql.engine import PostgresEngine\n"
        "from covetbackup.core.databases.postgresql.server.url import parse_url\n"
        "from covetbackup.core.progress import Silent\n"
        "from covetbackup.core.stream.secret import Secret\n"
        "engine = PostgresEngine(parse_url(sys.argv[1]), Secret(sys.stdin.readline()))\n"
        "with engine.backup(BackupOptions('logical'), Silent()) as session:\n"
        "    for (member,) in session.groups():\n"
        "        with member.source as chunks:\n"
        "            next(chunks)\n"
        "            if member.name == 'dump.pgc':\n"
        "                print('reading', flush=True)\n"
        "                time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, postgres_server.url(big_database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(postgres_server.password.reveal().encode())
        process.stdin.close()
        assert process.stdout.readline() == b"reading\n"
        os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: postgres_server.rows("postgres", _SESSIONS) == [], seconds=20)


def test_no_child_shows_the_password(postgres_server: PostgresServer, big_database: str) -> None:
    canary = postgres_server.password.reveal().encode()
    seen: list[bytes] = []

    def look() -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                seen.append((process / "cmdline").read_bytes() + (process / "environ").read_bytes())
            except OSError:
                continue

    _dump_into(engine_for(postgres_server, big_database), _ActingSink(look))
    assert any(b"PGPASSFILE=/proc/self/fd/" in text and b"pg_dump" in text for text in seen)
    assert not any(canary in text for text in seen)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ('exec {real} --exclude-table-data=big "$@"', r"lacks 1 tables: public\.big"),
        ("exit 0", "no readable archive"),
        ("echo PGDMP-but-nothing-else", "no readable archive"),
    ],
)
def test_a_dump_program_that_lies_is_found_out(
    postgres_server: PostgresServer, big_database: str, tmp_path: Path, behaviour: str, message: str
) -> None:
    engine = _engine_with(postgres_server, big_database, tmp_path, pg_dump=behaviour)
    with nothing_left_there(postgres_server), pytest.raises(Incomplete, match=message):
        take(engine)


def test_a_server_that_shows_no_globals_gives_the_names_of_its_roles(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
    tmp_path: Path,
) -> None:
    owner = postgres_role("CREATEDB", name='ow"ner')
    postgres_server.execute(
        postgres_database, "CREATE TABLE t ()", 'ALTER TABLE t OWNER TO "ow""ner"'
    )
    engine = _engine_with(postgres_server, postgres_database, tmp_path, pg_dumpall="exit 1")
    taken = take(engine)
    script = taken.members["globals.sql"].decode()
    assert 'CREATE ROLE "ow""ner" WITH LOGIN INHERIT CREATEDB NOCREATEROLE;' in script
    assert any("only the names of the roles" in warning for warning in taken.outcome.warnings)
    assert owner.name in taken.inventory.roles


def _engine_with(
    server: PostgresServer, database: str, directory: Path, **behaviours: str
) -> PostgresEngine:
    """An engine whose client programs behave as told, apart from `--version`."""
    for program in ("pg_dump", "pg_dumpall", "pg_restore"):
        real = server.binaries / program
        body = behaviours.get(program, 'exec {real} "$@"').format(real=real)
        version = f'case "$1" in --version) exec {real} "$@";; esac'
        (directory / program).write_text(f"#!/bin/sh\n{version}\n{body}\n")
        (directory / program).chmod(0o755)
    return PostgresEngine(
        server.settings(database), server.password, client_directories=[directory]
    )


class _ActingSink(MemorySink):
    """Does something once, when the dump's first bytes have arrived."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act: Callable[[], None] | None = act

    def write(self, chunk: bytes) -> None:
        super().write(chunk)
        act, self._act = self._act, None
        if act is not None:
            act()


def _dump_into(engine: PostgresEngine, sink: MemorySink) -> None:
    with engine.backup(BackupOptions("logical"), Silent()) as session:
        for (member,) in session.groups():
            pump(member.source, [], sink if member.name == "dump.pgc" else MemorySink())
        session.finish()


def _read_all(groups: Iterator[Sequence[Member]]) -> dict[str, bytes]:
    contents = {}
    for (member,) in groups:
        with member.source as chunks:
            contents[member.name] = b"".join(chunks)
    return contents
