"""A restore of some tables that cannot be finished leaves nothing: no scratch database, and what is
there is exactly as before, whether the tables go into a new database or into one that lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.databases.postgresql.archive.member_names import HEAD
from covetbackup.core.databases.postgresql.backup import plan
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX, cleanup_scratch
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import Cancelled, CovetError, SourceFailed
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.postgres import PostgresServer, drop_databases
from tests.support.postgres_backup import Taken, content_of, contents, engine_for, fill, take
from tests.support.streams import eventually, nothing_left, source_of

LIVING, FREE = "living", "free_name"
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'covetbackup%'"
SCHEMAS = "SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"
KEYS = "SELECT conname, condeferrable FROM pg_constraint WHERE contype = 'f'"


@dataclass(frozen=True, slots=True)
class Way:
    target: str
    selection: Selection
    adds: bool = False


WAYS = {
    "into a new database": Way(FREE, Selection(("public.big", "public.part"))),
    "rows into tables that live": Way(
        LIVING, Selection(("public.big", "public.part"), with_structure=False), adds=True
    ),
    "tables beside those that live": Way(
        LIVING, Selection(("public.part",), schemas_as=(("public", "beside"),)), adds=True
    ),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture(scope="module")
def backup(postgres_server: PostgresServer) -> Iterator[Taken]:
    """Of rows that are more than sockets hold, in many parts."""
    name = postgres_server.create_database("chosen_to_fail")
    fill_database(postgres_server, name, rows=6000)
    with pytest.MonkeyPatch.context() as patch:
        for size in ("SMALLEST_PART_BYTES", "LARGEST_PART_BYTES"):
            patch.setattr(plan, size, 1_000_000)
        yield take(engine_for(postgres_server, name))
    drop_databases(postgres_server, {name})


@pytest.fixture(autouse=True)
def living(backup: Taken, postgres_tidy: PostgresServer) -> None:
    fill_database(postgres_tidy, postgres_tidy.create_database(LIVING), rows=0)
    postgres_tidy.execute(LIVING, "INSERT INTO big VALUES (-1, 'mine')")


def fill_database(server: PostgresServer, name: str, *, rows: int) -> None:
    fat = f"SELECT g, repeat('x', 1000) FROM generate_series(1, {rows}) g"
    server.execute(
        name,
        "CREATE TABLE big (id int PRIMARY KEY, fat text)",
        f"INSERT INTO big {fat}",
        "CREATE TABLE part (id int REFERENCES big, fat text)",
        f"INSERT INTO part {fat}",
    )


@contextmanager
def unchanged(server: PostgresServer) -> Iterator[None]:
    def state() -> tuple[Any, ...]:
        return (
            server.databases(),
            contents(server, LIVING),
            server.rows(LIVING, SCHEMAS),
            server.rows(LIVING, KEYS),
            server.rows("postgres", SESSIONS),
        )

    before = state()
    with nothing_left():
        yield
    assert eventually(lambda: server.rows("postgres", SESSIONS) == [])
    assert state() == before


def request_of(way: Way) -> RestoreRequest:
    return RestoreRequest(way.target, selection=way.selection, into_existing=way.adds)


def restore_until(server: PostgresServer, backup: Taken, way: Way, act: Callable[[], None]) -> None:
    """Acts when the first rows are on their way, and goes on if that lets it."""

    def rows(content: bytes) -> Iterator[bytes]:
        yield content[:200_000]
        act()
        yield content[200_000:]

    wanted = request_of(way)
    with engine_for(server).restore(wanted, backup.inventory, Silent()) as session:
        members = {name: len(content) for name, content in backup.members.items()}
        for group in session.groups(members):
            for piece in group:
                content = content_of(backup.members, piece)
                pieces = [content] if piece.member.endswith((HEAD, ".sql")) else rows(content)
                pump(source_of(pieces), [], session.sink(piece, Silent()))
        session.inventory()
        session.commit()


def test_a_source_that_dies_leaves_nothing(
    postgres_server: PostgresServer, backup: Taken, way: Way
) -> None:
    def die() -> None:
        raise SourceFailed("the storage is gone")

    with unchanged(postgres_server), pytest.raises(SourceFailed, match="storage is gone"):
        restore_until(postgres_server, backup, way, die)


def test_a_cancel_leaves_nothing(postgres_server: PostgresServer, backup: Taken, way: Way) -> None:
    def cancel() -> None:
        raise Cancelled

    with unchanged(postgres_server), pytest.raises(Cancelled):
        restore_until(postgres_server, backup, way, cancel)


def test_a_server_that_ends_the_session_leaves_nothing(
    postgres_server: PostgresServer, backup: Taken, way: Way
) -> None:
    copying = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY%FROM stdin%'"
    kill = f"SELECT pg_terminate_backend(pid) FROM ({copying}) AS copying"

    def end() -> None:
        assert eventually(lambda: bool(postgres_server.rows("postgres", copying)))
        postgres_server.execute("postgres", kill)

    with unchanged(postgres_server), pytest.raises(CovetError):
        restore_until(postgres_server, backup, way, end)


def test_a_session_that_is_ended_before_the_commit_leaves_nothing(
    postgres_server: PostgresServer, backup: Taken, way: Way
) -> None:
    kill = SESSIONS.replace("pid", "pg_terminate_backend(pid)", 1)
    with unchanged(postgres_server), pytest.raises(CovetError):
        wanted = request_of(way)
        with engine_for(postgres_server).restore(wanted, backup.inventory, Silent()) as session:
            fill(session, backup.members)
            session.inventory()
            postgres_server.execute("postgres", kill)
            session.commit()


def test_a_restore_left_without_commit_leaves_nothing(
    postgres_server: PostgresServer, backup: Taken, way: Way
) -> None:
    with unchanged(postgres_server), pytest.raises(Cancelled):
        wanted = request_of(way)
        with engine_for(postgres_server).restore(wanted, backup.inventory, Silent()) as session:
            fill(session, backup.members)
            session.inventory()
            raise Cancelled


def test_kill_9_leaves_no_more_than_a_sweep_removes(
    postgres_server: PostgresServer, backup: Taken, way: Way, tmp_path: Path
) -> None:
    for name, content in backup.members.items():
        (tmp_path / name).write_bytes(content)
    how = {"selection": asdict(way.selection), "adds": way.adds}
    how |= {"members": list(backup.members), "inventory": backup.inventory.to_json()}
    (tmp_path / "how").write_text(json.dumps(how))
    settings, password = postgres_server.settings(), postgres_server.password
    later = datetime.now(UTC) + timedelta(minutes=1)
    with unchanged(postgres_server):
        with subprocess.Popen(
            [sys.executable, "-c", _RESTORING, postgres_server.url(way.target), tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(password.reveal().encode())
            process.stdin.close()
            assert process.stdout.readline() == b"loading\n"
            os.kill(process.pid, signal.SIGKILL)
        assert eventually(lambda: postgres_server.rows("postgres", SESSIONS) == [], seconds=20)
        left = [name for name in postgres_server.databases() if name.startswith(PREFIX)]
        assert len(left) == (0 if way.adds else 1)
        assert cleanup_scratch(settings, later, password) == left


_RESTORING = """
import json, pathlib, sys, time
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.archive.member_names import HEAD
from covetbackup.core.databases.postgresql.server.url import parse_url
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
how = json.loads((folder / "how").read_text())
members = {name: (folder / name).read_bytes() for name in how["members"]}
engine = PostgresEngine(parse_url(url), Secret(sys.stdin.readline()))
request = RestoreRequest(selection=Selection(**how["selection"]), into_existing=how["adds"])
with engine.restore(request, Inventory.from_json(how["inventory"]), Silent()) as session:
    for group in session.groups({name: len(content) for name, content in members.items()}):
        for piece in group:
            sink = session.sink(piece, Silent())
            end = None if piece.length is None else piece.offset + piece.length
            content = members[piece.member][piece.offset : end]
            if piece.member == HEAD or piece.member.endswith(".sql"):
                sink.write(content)
                sink.commit()
                continue
            sink.write(content[:-10])
            print("loading", flush=True)
            time.sleep(60)
"""
