"""A restore that cannot succeed changes nothing: no target and no scratch database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.replace import publish
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.restore.scratch import PREFIX, UNFINISHED, cleanup_scratch
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    CovetError,
    DatabaseError,
    Incomplete,
    ResultDiffers,
    SinkFailed,
    TargetNotEmpty,
)
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.mariadb import MakeUser, MysqlServer, create_database, quoted
from tests.support.mariadb_backup import (
    Taken,
    contents,
    engine_for,
    fill,
    fill_richly,
    put_back,
    settings_for,
    take,
)
from tests.support.postgres_backup import Notes
from tests.support.streams import eventually, nothing_left, source_of

TARGET = "restored"
_SESSIONS = (
    "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
    " AND USER NOT IN ('system user', 'event_scheduler')"
)


@pytest.fixture(scope="module")
def backup(mariadb_server: MysqlServer) -> Iterator[Taken]:
    database = create_database(mariadb_server, "backed_up")
    fill_richly(mariadb_server, database)
    mariadb_server.execute(
        database, "CREATE TABLE big AS SELECT seq, repeat('x', 500) AS fat FROM seq_1_to_20000"
    )
    yield take(engine_for(mariadb_server, database), streams=2)
    mariadb_server.execute(None, f"DROP DATABASE {database}")


@pytest.fixture(autouse=True)
def tidy(backup: Taken, mariadb_tidy: MysqlServer) -> None:
    """Whatever a test restores goes when it ends; the backup, made before, stays."""


@contextmanager
def unchanged(server: MysqlServer) -> Iterator[None]:
    """Fails when the body adds or removes a database, or leaves a session or child."""
    before = server.databases()
    with nothing_left():
        yield
    assert eventually(lambda: server.rows(None, _SESSIONS) == [])
    assert server.databases() == before


def with_member(taken: Taken, name: str, content: bytes) -> Taken:
    return replace(taken, members={**taken.members, name: content})


@pytest.mark.parametrize(
    ("member", "part"),
    [
        ("schema.sql", 0.0),
        ("schema.sql", 0.5),
        ("data-0001.sql", 0.5),
        ("data-0002.sql", 0.99),
        ("programs.sql", 0.5),
        ("events.sql", 0.5),
    ],
)
def test_a_dump_cut_between_two_statements_leaves_no_database(
    mariadb_server: MysqlServer, backup: Taken, member: str, part: float
) -> None:
    """The client ends with status 0 then."""
    content = backup.members[member]
    end = content.rfind(b";\n", 0, int(len(content) * part)) + 2 if part else 0
    cut = with_member(backup, member, content[:end])
    with unchanged(mariadb_server), pytest.raises(Incomplete, match="cut off"):
        put_back(engine_for(mariadb_server, TARGET), cut, mariadb_server.url(TARGET), jobs=2)


def test_a_source_that_dies_leaves_no_database(mariadb_server: MysqlServer, backup: Taken) -> None:
    failing = source_of([backup.members["data-0001.sql"][:900_000]], then=SinkFailed("lost"))
    with unchanged(mariadb_server), pytest.raises(SinkFailed, match="lost"):
        options = RestoreRequest(TARGET)
        with engine_for(mariadb_server, TARGET).restore(
            options, backup.inventory, Silent()
        ) as session:
            schema = source_of([backup.members["schema.sql"]])
            pump(schema, [], session.sink(MemberRange("schema.sql"), Silent()))
            pump(failing, [], session.sink(MemberRange("data-0001.sql"), Silent()))


def test_a_cancel_before_the_commit_leaves_no_database(
    mariadb_server: MysqlServer, backup: Taken
) -> None:
    with unchanged(mariadb_server), pytest.raises(Cancelled):
        options = RestoreRequest(TARGET)
        with engine_for(mariadb_server, TARGET).restore(
            options, backup.inventory, Silent()
        ) as session:
            fill(session, backup)
            session.inventory()
            raise Cancelled


def test_a_client_whose_session_is_killed_leaves_no_database(
    mariadb_server: MysqlServer, backup: Taken
) -> None:
    loading = f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB LIKE '{PREFIX}%'"
    big = next(name for name, data in backup.members.items() if b"INSERT INTO `big`" in data)
    with unchanged(mariadb_server), pytest.raises(SinkFailed, match="client"):
        options = RestoreRequest(TARGET)
        with engine_for(mariadb_server, TARGET).restore(
            options, backup.inventory, Silent()
        ) as session:
            schema = source_of([backup.members["schema.sql"]])
            pump(schema, [], session.sink(MemberRange("schema.sql"), Silent()))
            sink = session.sink(MemberRange(big), Silent())
            sink.write(backup.members[big][:5_000_000])
            assert eventually(lambda: bool(mariadb_server.rows(None, loading)))
            for (session_id,) in mariadb_server.rows(None, loading):
                mariadb_server.execute(None, f"KILL {session_id}")
            sink.write(backup.members[big][5_000_000:])
            sink.commit()


@pytest.mark.parametrize("statements", [["CREATE TABLE mine AS SELECT 1 AS one"], []])
def test_an_existing_database_is_refused_and_untouched(
    mariadb_server: MysqlServer, backup: Taken, statements: list[str]
) -> None:
    create_database(mariadb_server, TARGET)
    mariadb_server.execute(TARGET, *statements)
    before = contents(mariadb_server, TARGET)
    with unchanged(mariadb_server), pytest.raises(TargetNotEmpty, match=TARGET):
        put_back(engine_for(mariadb_server, TARGET), backup, mariadb_server.url(TARGET))
    assert contents(mariadb_server, TARGET) == before


def test_a_database_created_meanwhile_is_not_replaced(
    mariadb_server: MysqlServer, backup: Taken
) -> None:
    options = RestoreRequest(TARGET)
    with pytest.raises(TargetNotEmpty, match="during the restore"):
        with engine_for(mariadb_server, TARGET).restore(
            options, backup.inventory, Silent()
        ) as session:
            fill(session, backup)
            create_database(mariadb_server, TARGET)
            session.commit()
    assert contents(mariadb_server, TARGET) == {}
    assert _scratch_databases(mariadb_server) == []


def test_a_commit_that_fails_half_way_takes_the_target_back(
    mariadb_server: MysqlServer, backup: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(client, target: str, scripts: list[bytes]) -> None:
        assert "parent" in contents(mariadb_server, target)  # the tables have moved
        client.run(b"CREATE TABLE parent (id int);", target)

    monkeypatch.setattr(publish, "create_stored_objects", failing)
    with unchanged(mariadb_server), pytest.raises(SinkFailed, match="parent"):
        put_back(engine_for(mariadb_server, TARGET), backup, mariadb_server.url(TARGET))


def test_a_commit_that_loses_an_object_takes_the_target_back(
    mariadb_server: MysqlServer, backup: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "create_stored_objects", lambda *given: None)
    with unchanged(mariadb_server), pytest.raises(ResultDiffers, match="kind trigger"):
        put_back(engine_for(mariadb_server, TARGET), backup, mariadb_server.url(TARGET))


def test_events_sleep_until_the_target_is_whole(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    """One that empties a table every second must not meet the scratch database."""
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE t AS SELECT 1 AS one",
        "CREATE EVENT emptying ON SCHEDULE EVERY 1 SECOND STARTS '2036-01-01' DO DELETE FROM t",
    )
    taken = take(engine_for(mariadb_server, mariadb_database))
    events = taken.members["events.sql"].replace(b" STARTS '2036-01-01 00:00:00'", b"")
    options = RestoreRequest(TARGET, options=("enable_events",))
    with engine_for(mariadb_server, TARGET).restore(options, taken.inventory, Silent()) as session:
        fill(session, with_member(taken, "events.sql", events))
        (scratch,) = _scratch_databases(mariadb_server)
        status = "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '{}'"
        assert mariadb_server.rows(None, status.format(scratch)) == [("DISABLED",)]
        assert contents(mariadb_server, scratch) == contents(mariadb_server, mariadb_database)
        session.commit()
    assert mariadb_server.rows(None, status.format(TARGET)) == [("ENABLED",)]


def test_nothing_in_a_backup_runs_on_this_machine(
    mariadb_server: MysqlServer, backup: Taken, tmp_path: Path
) -> None:
    """The client's own commands are off: a backup holds SQL, not programs."""
    proof = tmp_path / "proof"
    hostile = f"\\! touch {proof}\nsystem touch {proof}\n".encode()
    schema = hostile + backup.members["schema.sql"]
    with unchanged(mariadb_server), pytest.raises(SinkFailed):
        put_back(
            engine_for(mariadb_server, TARGET),
            with_member(backup, "schema.sql", schema),
            mariadb_server.url(TARGET),
        )
    assert not proof.exists()


def test_rights_that_are_missing_are_named_with_their_grant(
    mariadb_server: MysqlServer, backup: Taken, mariadb_user: MakeUser
) -> None:
    restorer = mariadb_user(f"ALL ON {TARGET}.*")
    engine = engine_for(mariadb_server, TARGET, restorer)
    with unchanged(mariadb_server), pytest.raises(DatabaseError) as caught:
        put_back(engine, backup, mariadb_server.url(TARGET, restorer.name), owner="none")
    mariadb_server.execute(None, caught.value.hint.split(": ", 1)[1].rstrip(";"))
    mariadb_server.execute(None, f"REVOKE ALL ON {TARGET}.* FROM '{restorer.name}'@'%'")
    mariadb_server.execute(None, "SET GLOBAL log_bin_trust_function_creators = 1")
    with unchanged(mariadb_server), pytest.raises(DatabaseError) as caught:
        put_back(engine, backup, mariadb_server.url(TARGET, restorer.name), owner="none")
    mariadb_server.execute(None, caught.value.hint.split(": ", 1)[1].rstrip(";"))
    put_back(engine, backup, mariadb_server.url(TARGET, restorer.name), owner="none")
    assert TARGET in mariadb_server.databases()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server_version": "99.1.2-MariaDB"}, "backup is of MariaDB 99.1.2"),
        ({"server_version": "8.4.3"}, "not the same SQL"),
        ({"character_set": "utf8mb4", "collation": "no_such_collation"}, "cannot create"),
        ({"character_set": "x; DROP", "collation": "y"}, "is not a character set"),
    ],
)
def test_an_unfit_server_is_refused_before_the_first_write(
    mariadb_server: MysqlServer, backup: Taken, change: dict[str, str], message: str
) -> None:
    with unchanged(mariadb_server), pytest.raises(CovetError, match=message):
        put_back(
            engine_for(mariadb_server, TARGET),
            _with_settings(backup, change),
            mariadb_server.url(TARGET),
        )


@pytest.mark.parametrize(
    ("target", "extra"),
    [
        (TARGET, {"no_such_option": 1}),
        (TARGET, {"owner": "nobody"}),
        ("n" * 65, {}),
    ],
)
def test_wrong_options_are_refused(
    mariadb_server: MysqlServer, backup: Taken, target: str, extra: dict[str, object]
) -> None:
    with unchanged(mariadb_server), pytest.raises(BadSetting):
        put_back(engine_for(mariadb_server, TARGET), backup, target, **extra)


def test_a_restore_can_be_kept_out_of_the_binary_log(
    mariadb_server: MysqlServer, backup: Taken
) -> None:
    def logged() -> int:
        ((_, offset, *_),) = mariadb_server.rows(None, "SHOW MASTER STATUS")
        return offset

    before = logged()
    put_back(
        engine_for(mariadb_server, TARGET), backup, mariadb_server.url(TARGET), skip_binary_log=True
    )
    assert logged() == before


@pytest.mark.parametrize("stage", ["loading", "creating", "committing"])
def test_kill_9_leaves_only_what_a_sweep_removes(
    mariadb_server: MysqlServer, backup: Taken, tmp_path: Path, stage: str
) -> None:
    for name, content in backup.members.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "inventory").write_text(json.dumps(backup.inventory.to_json()))
    before = mariadb_server.databases()
    process = subprocess.Popen(
        [sys.executable, "-c", _RESTORING, mariadb_server.url(TARGET), tmp_path, stage],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    settings, password = settings_for(mariadb_server, TARGET), mariadb_server.password
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(password.reveal().encode())
        process.stdin.close()
        assert process.stdout.readline() == f"{stage}\n".encode()
        assert cleanup_scratch(settings, later, password) == []  # its restore is alive
        os.kill(process.pid, signal.SIGKILL)
    left = mariadb_server.databases() - before
    assert (TARGET in left) == (stage != "loading")
    if stage == "creating":
        assert contents(mariadb_server, TARGET) == {}
    if stage == "committing":
        assert UNFINISHED in contents(mariadb_server, TARGET)
    assert cleanup_scratch(settings, later - timedelta(days=1), password) == []
    swept: list[str] = []
    deadline = time.monotonic() + 20
    while set(swept) != left and time.monotonic() < deadline:
        swept += cleanup_scratch(settings, later, password)
    assert set(swept) == left
    assert mariadb_server.databases() == before


_RESTORING = """
import json, pathlib, sys, time
from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.replace import publish
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.server.url import parse_url
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
url, folder, stage = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
engine = MysqlEngine(parse_url(url), Secret(sys.stdin.readline()))
expected = Inventory.from_json(json.loads((folder / "inventory").read_text()))
def wait(*given):
    print(stage, flush=True)
    time.sleep(60)
if stage == "creating":
    scratch.mark_unfinished = wait
publish.create_stored_objects = wait
with engine.restore(RestoreRequest(), expected, Silent()) as session:
    for group in session.groups({path.name: 1 for path in sorted(folder.iterdir())}):
        for piece in group:
            sink = session.sink(piece, Silent())
            sink.write((folder / piece.member).read_bytes())
            if stage == "loading" and piece.member == "data-0001.sql":
                wait()
            sink.commit()
    session.commit()
"""


def test_a_database_with_somebody_elses_mark_is_left_alone(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    mariadb_server.execute(
        mariadb_database,
        f"CREATE TABLE {UNFINISHED} (i int) COMMENT 'shop'",
    )
    settings = settings_for(mariadb_server, mariadb_database)
    later = datetime.now(UTC) + timedelta(days=1)
    assert cleanup_scratch(settings, later, mariadb_server.password) == []
    assert mariadb_database in mariadb_server.databases()


def test_a_target_that_somebody_filled_is_no_longer_the_restores(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    """Noted by a restore that was killed before it made it, and then made by somebody else."""
    mariadb_server.execute(mariadb_database, "CREATE TABLE t (i int)")
    name = scratch.scratch_name(datetime.now(UTC) - timedelta(days=1))
    create_database(mariadb_server, name)
    settings = settings_for(mariadb_server, mariadb_database)
    with connect(settings, mariadb_server.password) as restoring:
        scratch.note_target(restoring, name, mariadb_database)
    assert cleanup_scratch(settings, datetime.now(UTC), mariadb_server.password) == [name]
    assert mariadb_database in mariadb_server.databases()


def test_a_restore_that_ends_during_a_sweep_keeps_its_database(
    mariadb_server: MysqlServer, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has read the mark; before it has the lock the restore takes the mark away."""
    name = scratch.scratch_name(datetime.now(UTC) - timedelta(days=1))
    settings = settings_for(mariadb_server, mariadb_database)
    with connect(settings, mariadb_server.password) as restoring:
        scratch.hold(restoring, name)
        mark = f"{quoted(mariadb_database)}.{UNFINISHED}"
        restoring.execute(f"CREATE TABLE {mark} (i int) COMMENT '{name} {mariadb_database}'")

        def is_older(of: str, than: datetime) -> bool:
            restoring.execute(f"DROP TABLE {quoted(mariadb_database)}.{UNFINISHED}")
            restoring.close()
            free = f"SELECT IS_FREE_LOCK('{name}')"
            assert eventually(lambda: mariadb_server.rows(None, free) == [(1,)], seconds=20)
            return True

        monkeypatch.setattr(scratch, "_is_older", is_older)
        assert cleanup_scratch(settings, datetime.now(UTC), mariadb_server.password) == []
    assert mariadb_database in mariadb_server.databases()


def test_what_still_means_the_old_database_is_said(
    mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    place = quoted(mariadb_database)
    mariadb_server.execute(
        mariadb_database,
        "CREATE TABLE t (i int)",
        f"CREATE PROCEDURE p() DELETE FROM {place}.t",
    )
    notes = Notes()
    taken = take(engine_for(mariadb_server, mariadb_database))
    put_back(engine_for(mariadb_server, TARGET), taken, mariadb_server.url(TARGET), progress=notes)
    assert any(mariadb_database in line for line in notes.lines)


def _with_settings(taken: Taken, change: dict[str, str]) -> Taken:
    settings = {**(taken.inventory.settings or {}), **change}
    inventory: Inventory = replace(taken.inventory, settings=settings)
    return replace(taken, outcome=replace(taken.outcome, inventory=inventory))


def _scratch_databases(server: MysqlServer) -> list[str]:
    return [name for name in server.databases() if name.startswith(PREFIX)]


def test_one_leftover_that_is_in_use_does_not_stop_the_sweep_of_others(
    mariadb_server: MysqlServer, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "_SAID_AFTER_SECONDS", 1)
    monkeypatch.setattr(scratch, "_LIMIT_SECONDS", 2)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    names = sorted(scratch.scratch_name(long_ago + timedelta(hours=n)) for n in range(2))
    for name in names:
        create_database(mariadb_server, name)
        mariadb_server.execute(name, "CREATE TABLE t (i int) ENGINE = InnoDB")
    settings = settings_for(mariadb_server, mariadb_database)
    said: list[str] = []
    with mariadb_server.connect(mariadb_database) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM {names[0]}.t")
        swept = cleanup_scratch(
            settings, datetime.now(UTC), mariadb_server.password, say=said.append
        )
    assert swept == names[1:]
    assert f"scratch database '{names[0]}' was not dropped within 2 s" in said[-1]
    assert cleanup_scratch(settings, datetime.now(UTC), mariadb_server.password) == names[:1]
