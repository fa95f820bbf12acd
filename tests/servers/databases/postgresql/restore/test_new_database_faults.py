"""A restore that cannot succeed changes nothing: no target, no scratch database, no role."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory, differences
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX, cleanup_scratch
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    CovetError,
    DatabaseError,
    Incomplete,
    SinkFailed,
    StorageFull,
    TargetNotEmpty,
)
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.postgres import PostgresRole, PostgresServer, drop_databases
from tests.support.postgres_backup import Notes, Taken, contents, engine_for, fill, put_back, take
from tests.support.streams import eventually, nothing_left, source_of

TARGET = "restored"


@pytest.fixture(scope="module")
def backup(postgres_server: PostgresServer) -> Iterator[Taken]:
    database = postgres_server.create_database("backed_up")
    postgres_server.execute(
        database,
        "CREATE TABLE t AS SELECT g, repeat('x', 500) AS fat FROM generate_series(1, 5000) g",
    )
    yield take(engine_for(postgres_server, database), method="logical")
    drop_databases(postgres_server, {database})


@pytest.fixture(autouse=True)
def tidy(backup: Taken, postgres_tidy: PostgresServer) -> None:
    """Whatever a test restores goes when it ends; the backup, made before, stays."""


@contextmanager
def unchanged(server: PostgresServer) -> Iterator[None]:
    """Fails when the body adds or removes a database or role, or leaves a session or child."""

    def state() -> tuple[list[tuple[object, ...]], ...]:
        return (
            server.rows("postgres", "SELECT datname FROM pg_database ORDER BY 1"),
            server.rows("postgres", "SELECT rolname FROM pg_roles ORDER BY 1"),
            server.rows(
                "postgres",
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'covetbackup%'",
            ),
        )

    before = state()
    with nothing_left():
        yield
    assert eventually(lambda: state() == before)


@pytest.mark.parametrize(("part", "jobs"), [(0.0, 1), (0.5, 2), (0.99, 1), (0.99, 2)])
def test_a_truncated_dump_leaves_no_database(
    postgres_server: PostgresServer, backup: Taken, part: float, jobs: int
) -> None:
    dump = backup.members["dump.pgc"]
    cut = replace(backup, members={"dump.pgc": dump[: int(len(dump) * part)]})
    failed = pytest.raises((SinkFailed, Incomplete), match=r"pg_restore|in the midst")
    with unchanged(postgres_server), failed:
        put_back(engine_for(postgres_server), cut, postgres_server.url(TARGET), jobs=jobs)


def test_a_source_that_dies_leaves_no_database(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    failing = source_of([backup.members["dump.pgc"][:900_000]], then=SinkFailed("lost"))
    with unchanged(postgres_server), pytest.raises(SinkFailed, match="lost"):
        options = RestoreRequest(TARGET)
        with engine_for(postgres_server).restore(options, backup.inventory, Silent()) as session:
            pump(failing, [], session.sink(MemberRange("dump.pgc"), Silent()))


def test_a_restore_left_without_commit_leaves_no_database(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    with unchanged(postgres_server), pytest.raises(Cancelled):
        options = RestoreRequest(TARGET)
        with engine_for(postgres_server).restore(options, backup.inventory, Silent()) as session:
            fill(session, backup.members)
            session.inventory()
            raise Cancelled


def test_a_pg_restore_whose_session_is_killed_leaves_no_database(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    dump = backup.members["dump.pgc"]
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ~ '^{PREFIX}'"
    with unchanged(postgres_server), pytest.raises(SinkFailed, match="pg_restore"):
        options = RestoreRequest(TARGET)
        with engine_for(postgres_server, TARGET).restore(
            options, backup.inventory, Silent()
        ) as session:
            sink = session.sink(MemberRange("dump.pgc"), Silent())
            sink.write(dump[:1_000_000])
            copying = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY public.t%'"
            assert eventually(lambda: bool(postgres_server.rows("postgres", copying)))
            postgres_server.execute("postgres", kill)
            sink.write(dump[1_000_000:])
            sink.commit()


@pytest.mark.parametrize("statements", [["CREATE TABLE mine AS SELECT 1 AS one"], []])
def test_an_existing_database_is_refused_and_untouched(
    postgres_server: PostgresServer, backup: Taken, statements: list[str]
) -> None:
    """Even an empty one: its grants, settings and sessions are somebody's."""
    postgres_server.create_database(TARGET)
    postgres_server.execute(TARGET, *statements)
    before = contents(postgres_server, TARGET)
    with unchanged(postgres_server), pytest.raises(TargetNotEmpty, match=TARGET):
        put_back(engine_for(postgres_server), backup, postgres_server.url(TARGET))
    assert contents(postgres_server, TARGET) == before


def test_a_database_created_meanwhile_is_not_replaced(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    options = RestoreRequest(TARGET)
    with pytest.raises(TargetNotEmpty, match="during the restore"):
        with engine_for(postgres_server).restore(options, backup.inventory, Silent()) as session:
            fill(session, backup.members)
            postgres_server.create_database(TARGET)
            session.commit()
    assert contents(postgres_server, TARGET) == {"large objects": None}
    assert not _scratch_databases(postgres_server)


def test_a_visitor_in_the_scratch_database_does_not_stop_the_commit(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    options = RestoreRequest(TARGET)
    with engine_for(postgres_server).restore(options, backup.inventory, Silent()) as session:
        fill(session, backup.members)
        (scratch,) = _scratch_databases(postgres_server)
        visitor = postgres_server.connect(scratch)
        session.commit()
        visitor.close()
    assert TARGET in postgres_server.databases()


def test_only_its_owner_can_enter_the_scratch_database(
    postgres_server: PostgresServer, backup: Taken, postgres_role: Callable[..., PostgresRole]
) -> None:
    stranger = postgres_role()
    options = RestoreRequest(TARGET)
    with engine_for(postgres_server).restore(options, backup.inventory, Silent()) as session:
        (scratch,) = _scratch_databases(postgres_server)
        query = f"SELECT has_database_privilege('{stranger.name}', '{{}}', 'CONNECT')"
        assert postgres_server.rows("postgres", query.format(scratch)) == [(False,)]
        fill(session, backup.members)
        session.commit()
    assert postgres_server.rows("postgres", query.format(TARGET)) == [(True,)]


def test_a_role_that_does_not_own_the_objects_fails_with_the_statement(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    restorer, other = postgres_role("CREATEDB"), postgres_role()
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE t ()",
        f"ALTER TABLE t OWNER TO {other.name}",
        f"ALTER DATABASE {postgres_database} OWNER TO {restorer.name}",
    )
    taken = take(engine_for(postgres_server, postgres_database))
    target = postgres_server.url(TARGET, restorer.name)
    engine = engine_for(postgres_server, role=restorer)
    with unchanged(postgres_server), pytest.raises(SinkFailed, match="ALTER TABLE public.t OWNER"):
        put_back(engine, taken, target)
    notes = Notes()
    put_back(engine, taken, target, owner="none", progress=notes)
    assert notes.lines == []
    assert _owner_of_t(postgres_server) == restorer.name


def test_properties_that_cannot_be_given_fail_before_the_load(
    postgres_server: PostgresServer, backup: Taken, postgres_role: Callable[..., PostgresRole]
) -> None:
    restorer = postgres_role("CREATEDB")
    engine = engine_for(postgres_server, role=restorer)
    with unchanged(postgres_server), pytest.raises(DatabaseError, match="OWNER TO"):
        put_back(engine, backup, postgres_server.url(TARGET, restorer.name))


def test_all_can_be_given_to_another_role(
    postgres_server: PostgresServer, backup: Taken, postgres_role: Callable[..., PostgresRole]
) -> None:
    heir = postgres_role(name='the "heir"')
    restored = put_back(
        engine_for(postgres_server), backup, postgres_server.url(TARGET), owner=heir.name
    )
    assert differences(backup.inventory, restored) == []
    assert _owner_of_t(postgres_server) == heir.name


def test_missing_roles_are_named_before_the_first_write(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    strange = _with(backup, roles=("postgres", "zoe", "adam"))
    with unchanged(postgres_server), pytest.raises(BadSetting, match="adam, zoe") as caught:
        put_back(engine_for(postgres_server), strange, postgres_server.url(TARGET))
    assert "owner none" in caught.value.hint


def test_missing_roles_can_come_from_the_backup_and_go_with_a_failure(
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_role: Callable[..., PostgresRole],
) -> None:
    lost = postgres_role("CREATEDB CONNECTION LIMIT 3", name='lo"st; role')
    quoted = '"lo""st; role"'
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE t ()",
        f"ALTER TABLE t OWNER TO {quoted}",
        f"COMMENT ON ROLE {quoted} IS 'it''s; here'",
        f"GRANT pg_monitor TO {quoted}",
    )
    taken = take(engine_for(postgres_server, postgres_database), method="logical")
    postgres_server.execute(postgres_database, "DROP TABLE t", f"DROP ROLE {quoted}")
    engine, target = engine_for(postgres_server), postgres_server.url(TARGET)
    cut = replace(taken, members={**taken.members, "dump.pgc": b"PGDMP"})
    with unchanged(postgres_server), pytest.raises(Incomplete):
        put_back(engine, cut, target, create_roles=True)
    put_back(engine, taken, target, create_roles=True)
    assert postgres_server.rows(
        "postgres",
        "SELECT rolcreatedb, rolconnlimit, shobj_description(oid, 'pg_authid'),"
        f" pg_has_role(oid, 'pg_monitor', 'USAGE') FROM pg_roles WHERE rolname = '{lost.name}'",
    ) == [(True, 3, "it's; here", True)]
    postgres_server.connect(TARGET, role=lost).close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"server_version": "99.1"}}, "backup is of PostgreSQL 99.1"),
        ({"extensions": ("plpgsql", "no_such")}, "extensions not installed .*: no_such"),
        ({"settings": {"collation": "xx_YY", "ctype": "xx_YY"}}, "cannot create a database"),
    ],
)
def test_an_unfit_server_is_refused_before_the_first_write(
    postgres_server: PostgresServer, backup: Taken, change: dict[str, object], message: str
) -> None:
    with unchanged(postgres_server), pytest.raises(CovetError, match=message):
        put_back(engine_for(postgres_server), _with(backup, **change), postgres_server.url(TARGET))


def test_a_missing_tablespace_is_noted_and_done_without(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    settings = {**(backup.inventory.settings or {}), "tablespaces": json.dumps(["fast_disk"])}
    notes = Notes()
    put_back(
        engine_for(postgres_server),
        _with(backup, settings=settings),
        postgres_server.url(TARGET),
        progress=notes,
    )
    assert any("fast_disk" in line for line in notes.lines)
    assert any("superuser" in line for line in notes.lines)


def test_a_parallel_restore_without_room_is_refused(
    postgres_server: PostgresServer, backup: Taken
) -> None:
    settings = {**(backup.inventory.settings or {}), "table_bytes": str(10**18)}
    huge = _with(backup, settings=settings)
    with unchanged(postgres_server), pytest.raises(StorageFull, match="parallel restore"):
        put_back(engine_for(postgres_server), huge, postgres_server.url(TARGET), jobs=2)


@pytest.mark.parametrize(
    ("target", "extra"),
    [(TARGET, {"no_such_option": 1}), ("n" * 64, {})],
)
def test_wrong_options_are_refused(
    postgres_server: PostgresServer, backup: Taken, target: str, extra: dict[str, object]
) -> None:
    with unchanged(postgres_server), pytest.raises(BadSetting):
        put_back(engine_for(postgres_server), backup, target, **extra)


def test_kill_9_leaves_only_a_scratch_database_that_a_sweep_removes(
    postgres_server: PostgresServer, backup: Taken, tmp_path: Path
) -> None:
    (tmp_path / "dump").write_bytes(backup.members["dump.pgc"])
    (tmp_path / "inventory").write_text(json.dumps(backup.inventory.to_json()))
    process = subprocess.Popen(
        [sys.executable, "-c", _RESTORING, postgres_server.url(TARGET), tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    settings, password = postgres_server.settings(), postgres_server.password
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(password.reveal().encode())
        process.stdin.close()
        assert process.stdout.readline() == b"loading\n"
        assert cleanup_scratch(settings, later, password) == []  # its restore is alive
        os.kill(process.pid, signal.SIGKILL)
    (left,) = _scratch_databases(postgres_server)
    assert TARGET not in postgres_server.databases()
    assert cleanup_scratch(settings, later - timedelta(days=1), password) == []
    assert eventually(lambda: cleanup_scratch(settings, later, password) == [left], seconds=20)
    assert _scratch_databases(postgres_server) == []


_RESTORING = """
import json, pathlib, sys, time
from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.server.url import parse_url
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
engine = PostgresEngine(parse_url(url), Secret(sys.stdin.readline()))
expected = Inventory.from_json(json.loads((folder / "inventory").read_text()))
with engine.restore(RestoreRequest(), expected, Silent()) as session:
    session.sink(MemberRange("dump.pgc"), Silent()).write((folder / "dump").read_bytes()[:-1000])
    print("loading", flush=True)
    time.sleep(60)
"""


def _with(taken: Taken, **changes: object) -> Taken:
    inventory: Inventory = replace(taken.inventory, **changes)  # type: ignore[arg-type]
    return replace(taken, outcome=replace(taken.outcome, inventory=inventory))


def _scratch_databases(server: PostgresServer) -> list[str]:
    return [name for name in server.databases() if name.startswith(PREFIX)]


def _owner_of_t(server: PostgresServer) -> str:
    query = "SELECT tableowner::text FROM pg_tables WHERE tablename = 't'"
    owner = server.rows(TARGET, query)[0][0]
    assert isinstance(owner, str)
    return owner
