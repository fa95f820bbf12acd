"""A dump in parts that cannot be whole fails, says why, and leaves nothing; nor does a restore."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from covetbackup.core.databases.base import BackupOptions, Member, MemberRange
from covetbackup.core.databases.postgresql.archive.member_names import part_name
from covetbackup.core.databases.postgresql.backup import parallel, plan
from covetbackup.core.databases.postgresql.restore import part_sink
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.databases.postgresql.server.connection import connect
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import (
    Cancelled,
    CovetError,
    DatabaseError,
    DatabaseUnavailable,
    Incomplete,
    SinkFailed,
    SourceFailed,
)
from covetbackup.core.operations.parallel import run_parallel
from covetbackup.core.progress import Progress, Silent
from covetbackup.core.stream.meter import count_progress
from covetbackup.core.stream.pump import pump
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import Taken, contents, engine_for, fill, put_back, take
from tests.support.streams import MemorySink, eventually, nothing_left

SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'covetbackup%'"
TARGET = "restored"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMALLEST_PART_BYTES", "LARGEST_PART_BYTES"):
        monkeypatch.setattr(plan, name, 300_000)


@pytest.fixture(params=["psql", "own connections"])
def readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with this happens to both kinds of readers."""
    size = 1 if request.param == "psql" else 1 << 40
    monkeypatch.setattr(parallel, "PSQL_MIN_BYTES", size)


@pytest.fixture
def database(postgres_server: PostgresServer, postgres_database: str) -> str:
    """Tables that make many parts, and a small one."""
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE big AS SELECT g, repeat('x', 1000) AS fat FROM generate_series(1, 4000) g",
        "CREATE TABLE other AS SELECT g, repeat('y', 1000) AS fat FROM generate_series(1, 1500) g",
        "CREATE TABLE small AS SELECT 1 AS one",
    )
    return postgres_database


@contextmanager
def nothing_left_there(server: PostgresServer) -> Iterator[None]:
    with nothing_left():
        yield
    assert eventually(lambda: server.rows("postgres", SESSIONS) == [])


class Acting:
    """Does something once, when so many pieces of the first data part have arrived."""

    def __init__(self, act: Callable[[], None], *, after: int = 1) -> None:
        self._act = act
        self._lock = threading.Lock()
        self._left = after

    def happened(self) -> None:
        with self._lock:
            self._left -= 1
            is_time = self._left == 0
        if is_time:
            self._act()


class ActingSink(MemorySink):
    def __init__(self, acting: Acting) -> None:
        super().__init__()
        self._acting = acting

    def write(self, chunk: bytes) -> None:
        super().write(chunk)
        self._acting.happened()


def dump_into(
    server: PostgresServer, database: str, acting: Acting, *, progress: Progress | None = None
) -> None:
    """A backup whose first data part goes into a sink that acts."""
    progress = progress or Silent()

    def store(member: Member, told: Progress) -> None:
        sink = ActingSink(acting) if member.name == part_name(1) else MemorySink()
        pump(member.source, [count_progress(told)], sink)

    with engine_for(server, database).backup(BackupOptions("", 3), progress) as session:
        for group in session.groups():
            run_parallel([partial(store, member) for member in group], limit=3, progress=progress)
        session.finish()


@pytest.mark.usefixtures("readers")
def test_a_killed_reader_is_a_failure(
    postgres_server: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part is more than pipes and sockets hold, so it has not been sent when it is killed."""
    monkeypatch.setattr(plan, "SMALLEST_PART_BYTES", 20_000_000)
    statement = "INSERT INTO big SELECT g, repeat('z', 1000) FROM generate_series(1, 30000) g"
    postgres_server.execute(database, statement)
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
        " AND application_name LIKE 'covetbackup%'"
    )
    acting = Acting(lambda: postgres_server.execute("postgres", kill), after=2)
    with nothing_left_there(postgres_server), pytest.raises((SourceFailed, DatabaseUnavailable)):
        dump_into(postgres_server, database, acting)


@pytest.mark.usefixtures("readers")
def test_a_killed_leader_is_a_failure(postgres_server: PostgresServer, database: str) -> None:
    """With it go the locks: a table might be emptied before its last part is read."""
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN"
        " (SELECT pid FROM pg_locks WHERE relation = 'small'::regclass)"
        " AND application_name LIKE 'covetbackup%' AND query NOT LIKE 'COPY%'"
        " AND backend_type = 'client backend'"
    )
    acting = Acting(lambda: postgres_server.execute(database, kill))
    with nothing_left_there(postgres_server), pytest.raises((DatabaseError, SourceFailed)):
        dump_into(postgres_server, database, acting)


@pytest.mark.usefixtures("readers")
def test_a_failing_sink_ends_all_readers(postgres_server: PostgresServer, database: str) -> None:
    def fail() -> None:
        raise SinkFailed("disk gone")

    with nothing_left_there(postgres_server), pytest.raises(SinkFailed, match="disk gone"):
        dump_into(postgres_server, database, Acting(fail, after=2))


@pytest.mark.usefixtures("readers")
def test_a_cancel_ends_all_readers(postgres_server: PostgresServer, database: str) -> None:
    def cancel() -> None:
        raise Cancelled

    with nothing_left_there(postgres_server), pytest.raises(Cancelled):
        dump_into(postgres_server, database, Acting(cancel, after=2))


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize(
    "statement",
    ["TRUNCATE big", "VACUUM FULL big", "ALTER TABLE big ALTER g TYPE bigint", "DROP TABLE big"],
)
def test_what_waits_for_a_table_neither_stops_nor_empties_the_dump(
    postgres_server: PostgresServer, database: str, statement: str
) -> None:
    """It waits for the leader, and readers that asked for the table would wait behind it."""
    before = contents(postgres_server, database)
    other = postgres_server.connect(database)
    waiting = threading.Thread(target=_run, args=(other, statement))

    def queue_it() -> None:
        waiting.start()
        blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"
        assert eventually(lambda: bool(postgres_server.rows(database, blocked)))

    taken = _taken_while(postgres_server, database, queue_it)
    waiting.join(60)
    assert not waiting.is_alive()
    other.close()
    put_back(engine_for(postgres_server), taken, postgres_server.url(TARGET), jobs=2)
    assert contents(postgres_server, TARGET) == before


def _run(connection: psycopg.Connection[object], statement: str) -> None:
    connection.execute(statement)  # type: ignore[call-overload]


def _taken_while(server: PostgresServer, database: str, act: Callable[[], None]) -> Taken:
    """A backup during which `act` is called between the table of contents and the first row."""
    members: dict[str, bytes] = {}

    def store(member: Member, told: Progress) -> None:
        sink = MemorySink()
        pump(member.source, [count_progress(told)], sink)
        assert sink.committed is not None
        members[member.name] = sink.committed

    with engine_for(server, database).backup(BackupOptions("", 3), Silent()) as session:
        for group in session.groups():
            if len(group) > 1:
                act()
            run_parallel([partial(store, member) for member in group], limit=3, progress=Silent())
        return Taken(members, session.finish())


@pytest.mark.usefixtures("readers")
def test_writers_during_the_dump_change_nothing_in_it(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """Money is moved between accounts all the time; in every snapshot the sum is the same."""
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE account AS SELECT g AS id, 100 AS balance, repeat('z', 400) AS filler"
        " FROM generate_series(1, 4000) g",
        "CREATE INDEX ON account (id)",
    )
    stop = threading.Event()
    writer = threading.Thread(target=_move_money, args=(postgres_server, postgres_database, stop))
    writer.start()
    try:
        taken = take(engine_for(postgres_server, postgres_database), streams=3)
    finally:
        stop.set()
        writer.join()
    assert len(taken.members) > 5
    put_back(engine_for(postgres_server), taken, postgres_server.url(TARGET), jobs=2)
    assert postgres_server.rows(TARGET, "SELECT sum(balance), count(*) FROM account") == [
        (400_000, 4000)
    ]


def _move_money(server: PostgresServer, database: str, stop: threading.Event) -> None:
    with server.connect(database) as connection:
        number = 0
        while not stop.is_set():
            number += 1
            one, other = 1 + number * 7919 % 4000, 1 + number * 104_729 % 4000
            with connection.transaction():
                for change, who in ((-7, one), (7, other)):
                    connection.execute(
                        "UPDATE account SET balance = balance + %s WHERE id = %s", (change, who)
                    )


def test_kill_9_leaves_no_session_and_no_child(
    postgres_server: PostgresServer, database: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _READING, postgres_server.url(database)],
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
    assert eventually(lambda: postgres_server.rows("postgres", SESSIONS) == [], seconds=20)


_READING = """
import sys, time
from contextlib import ExitStack
from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.backup import parallel, plan
from covetbackup.core.databases.postgresql.server.url import parse_url
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
plan.SMALLEST_PART_BYTES = plan.LARGEST_PART_BYTES = 300_000
parallel.PSQL_MIN_BYTES = 2_000_000
engine = PostgresEngine(parse_url(sys.argv[1]), Secret(sys.stdin.readline()))
with engine.backup(BackupOptions('', 3), Silent()) as session, ExitStack() as stack:
    for group in session.groups():
        for member in group:
            chunks = stack.enter_context(member.source)
            next(chunks)
        if len(group) > 1:
            print('reading', flush=True)
            time.sleep(60)
"""


def test_the_contents_are_not_written_before_every_part_is_read(
    postgres_server: PostgresServer, database: str
) -> None:
    with engine_for(postgres_server, database).backup(BackupOptions(), Silent()) as session:
        groups = session.groups()
        next(groups), next(groups)
        (head,) = next(groups)
        with pytest.raises(Incomplete, match=r"dump\.pgc\.0001 was not read"), head.source:
            pass
        with pytest.raises(Incomplete):
            session.finish()


def test_a_dead_peer_is_noticed_within_two_minutes(postgres_server: PostgresServer) -> None:
    """By the kernels of both, which are asked to: while nothing moves, and while something is on
    its way. What is done then is in `test_lost_links`."""
    settings = postgres_server.settings()
    with connect(settings, postgres_server.password, application="covetbackup x") as connection:
        copy = socket.socket(fileno=os.dup(connection.fileno()))
        with copy:
            option = partial(copy.getsockopt, socket.IPPROTO_TCP)
            idle = option(socket.TCP_KEEPIDLE)
            silent = option(socket.TCP_KEEPINTVL) * option(socket.TCP_KEEPCNT)
            assert idle + silent <= 120
            assert 0 < option(socket.TCP_USER_TIMEOUT) <= 120_000
        there = dict(connection.execute(_KEEPALIVES_THERE).fetchall())
    idle, interval, count = (int(there[f"tcp_keepalives_{name}"]) for name in _LIMITS)
    assert 0 < idle + interval * count <= 120


_LIMITS = ("idle", "interval", "count")
_KEEPALIVES_THERE = "SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp_%'"


@pytest.fixture
def taken(postgres_server: PostgresServer, database: str) -> Taken:
    taken = take(engine_for(postgres_server, database))
    assert len(taken.members) > 6
    return taken


@contextmanager
def unchanged(server: PostgresServer) -> Iterator[None]:
    before = server.databases()
    with nothing_left_there(server):
        yield
    assert server.databases() == before


def test_a_part_that_is_cut_leaves_no_database(
    postgres_server: PostgresServer, taken: Taken
) -> None:
    cut = {**taken.members, "dump.pgc.0002": taken.members["dump.pgc.0002"][:-7]}
    with unchanged(postgres_server), pytest.raises(Incomplete, match="contents|midst"):
        put_back(
            engine_for(postgres_server),
            Taken(cut, taken.outcome),
            postgres_server.url(TARGET),
            jobs=3,
        )


def restore_with(
    server: PostgresServer, taken: Taken, acting: Acting, patch: pytest.MonkeyPatch
) -> None:
    """A restore in which something happens when the second piece of a part is written."""
    written = part_sink.PartSink.write

    def write(sink: part_sink.PartSink, chunk: bytes) -> None:
        written(sink, chunk)
        acting.happened()

    patch.setattr(part_sink.PartSink, "write", write)
    put_back(engine_for(server), taken, server.url(TARGET), jobs=3)


def test_a_source_that_dies_leaves_no_database(
    postgres_server: PostgresServer, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise SourceFailed("lost")

    with unchanged(postgres_server), pytest.raises(SourceFailed, match="lost"):
        restore_with(postgres_server, taken, Acting(die, after=3), monkeypatch)


def test_a_cancelled_restore_leaves_no_database(
    postgres_server: PostgresServer, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel() -> None:
        raise Cancelled

    with unchanged(postgres_server), pytest.raises(Cancelled):
        restore_with(postgres_server, taken, Acting(cancel, after=3), monkeypatch)


def test_a_killed_loader_leaves_no_database(
    postgres_server: PostgresServer, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname ~ '^{PREFIX}' AND query LIKE 'COPY%'"
    )
    acting = Acting(lambda: postgres_server.execute("postgres", kill), after=2)
    with unchanged(postgres_server), pytest.raises((SinkFailed, DatabaseUnavailable)):
        restore_with(postgres_server, taken, acting, monkeypatch)


def test_parts_in_the_wrong_order_are_refused(
    postgres_server: PostgresServer, taken: Taken
) -> None:
    options = RestoreRequest(TARGET)
    with unchanged(postgres_server), pytest.raises(CovetError, match="before"):
        with engine_for(postgres_server).restore(options, taken.inventory, Silent()) as session:
            session.sink(MemberRange("dump.pgc.0001"), Silent())


def test_a_restore_left_without_commit_leaves_no_database(
    postgres_server: PostgresServer, taken: Taken
) -> None:
    options = RestoreRequest(TARGET, jobs=2)
    with unchanged(postgres_server), pytest.raises(Cancelled):
        with engine_for(postgres_server).restore(options, taken.inventory, Silent()) as session:
            fill(session, taken.members, jobs=2)
            raise Cancelled
