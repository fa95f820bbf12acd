"""Replacing a PostgreSQL database: one step, and before it the original serves whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.postgresql.replace import swap
from covetbackup.core.databases.postgresql.restore.new_database import PostgresRestore
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.databases.postgresql.server.maintenance import connect_maintenance
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import BadSetting, Cancelled, DatabaseError, SinkFailed, TargetNotEmpty
from covetbackup.core.progress import Silent
from covetbackup.core.stream.pump import pump
from tests.support.paths import ROOT
from tests.support.postgres import PostgresRole, PostgresServer, drop_databases
from tests.support.postgres_backup import Taken, contents, engine_for, fill, take
from tests.support.streams import eventually, source_of

TARGET = "shop"
MakeRole = Callable[..., PostgresRole]


@pytest.fixture(scope="module")
def backup(postgres_server: PostgresServer) -> Iterator[Taken]:
    database = postgres_server.create_database("backed_up")
    postgres_server.execute(
        database, "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 2000) g"
    )
    yield take(engine_for(postgres_server, database), method="logical")
    drop_databases(postgres_server, {database})


@pytest.fixture
def shop(backup: Taken, postgres_tidy: PostgresServer) -> str:
    """The database to be replaced; everything that appears goes when the test ends."""
    postgres_tidy.create_database(TARGET)
    postgres_tidy.execute(TARGET, "CREATE TABLE old AS SELECT 'precious' AS what")
    return TARGET


@contextmanager
def replacing(
    server: PostgresServer, backup: Taken, name: str = TARGET, role: PostgresRole | None = None
) -> Iterator[PostgresRestore]:
    """A session that holds all of the backup."""
    options = RestoreRequest(name, replace=True, owner="none")
    with engine_for(server, role=role).restore(options, backup.inventory, Silent()) as session:
        fill(session, backup.members)
        yield session  # type: ignore[misc]


def tables(server: PostgresServer, name: str) -> list[str]:
    query = "SELECT relname FROM pg_class WHERE relname IN ('old', 't') AND relkind = 'r'"
    return [relname for (relname,) in server.rows(name, query)]


def kept(server: PostgresServer) -> list[str]:
    return [name for name in server.databases() if "_replaced_" in name]


def scratches(server: PostgresServer) -> list[str]:
    return [name for name in server.databases() if name.startswith(PREFIX)]


def is_as_before(server: PostgresServer) -> bool:
    """The original serves everybody and nothing else is there."""
    query = "SELECT datallowconn, datconnlimit FROM pg_database WHERE datname = 'shop'"
    return (
        tables(server, TARGET) == ["old"]
        and server.rows("postgres", query) == [(True, -1)]
        and kept(server) == scratches(server) == []
    )


def test_the_copy_has_the_place_and_the_original_is_kept(
    postgres_server: PostgresServer, backup: Taken, shop: str
) -> None:
    before = contents(postgres_server, shop)
    with replacing(postgres_server, backup) as session:
        assert tables(postgres_server, shop) == ["old"]
        session.commit()
    assert tables(postgres_server, shop) == ["t"]
    assert kept(postgres_server) == [session.retained_as]
    assert contents(postgres_server, session.retained_as) == before
    assert scratches(postgres_server) == []


def test_clients_that_come_and_go_find_one_or_the_other_at_any_moment(
    postgres_server: PostgresServer, backup: Taken, shop: str
) -> None:
    idle = postgres_server.connect(shop)
    busy = postgres_server.connect(shop)
    seen: set[tuple[str, ...]] = set()
    odd: list[str] = []
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            try:
                seen.add(tuple(tables(postgres_server, shop)))
            except psycopg.Error as error:
                odd.append(str(error))

    def work() -> None:
        with suppress(psycopg.Error):
            busy.execute("SELECT pg_sleep(60)")

    threads = [threading.Thread(target=each) for each in (come_and_go, come_and_go, work)]
    for thread in threads:
        thread.start()
    try:
        with replacing(postgres_server, backup) as session:
            assert eventually(lambda: ("old",) in seen)
            session.commit()
        assert eventually(lambda: ("t",) in seen)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert seen == {("old",), ("t",)}
    told = ("terminating connection", "was terminated", "does not exist", "closed the connection")
    assert [text for text in odd if not any(words in text for words in told)] == []
    with pytest.raises(psycopg.OperationalError):
        idle.execute("SELECT 1")
    idle.close()
    busy.close()


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_cancel_before_the_swap_leaves_the_original_serving(
    postgres_server: PostgresServer, backup: Taken, shop: str, is_loaded: bool
) -> None:
    options = RestoreRequest(shop, replace=True)
    dump = backup.members["dump.pgc"]
    half = source_of([dump[: len(dump) // 2]], then=Cancelled())
    client = postgres_server.connect(shop)
    with pytest.raises(Cancelled):
        with engine_for(postgres_server).restore(options, backup.inventory, Silent()) as session:
            source = source_of([dump]) if is_loaded else half
            pump(source, [], session.sink(MemberRange("dump.pgc"), Silent()))
            session.inventory()
            raise Cancelled
    assert client.execute("SELECT what FROM old").fetchall() == [("precious",)]
    client.close()
    assert is_as_before(postgres_server)


def test_without_the_option_nothing_is_replaced(
    postgres_server: PostgresServer, backup: Taken, shop: str
) -> None:
    options = RestoreRequest(shop)
    with (
        pytest.raises(TargetNotEmpty),
        engine_for(postgres_server).restore(options, backup.inventory, Silent()),
    ):
        pytest.fail("the restore began")
    assert is_as_before(postgres_server)


@pytest.mark.parametrize("name", ["nowhere", "postgres", "template1", f"{PREFIX}x"])
def test_what_cannot_be_replaced_is_refused_at_once(
    postgres_server: PostgresServer, backup: Taken, shop: str, name: str
) -> None:
    if name.startswith(PREFIX):
        postgres_server.create_database(name)
    with pytest.raises(BadSetting), replacing(postgres_server, backup, name):
        pytest.fail("the restore began")


def test_a_role_that_does_not_own_the_original_is_refused_at_once(
    postgres_server: PostgresServer, backup: Taken, shop: str, postgres_role: MakeRole
) -> None:
    stranger = postgres_role("CREATEDB")
    with pytest.raises(DatabaseError, match="may not rename"):
        with replacing(postgres_server, backup, role=stranger):
            pytest.fail("the restore began")
    assert is_as_before(postgres_server)


def test_a_role_that_does_not_own_the_objects_fails_with_the_statement(
    postgres_server: PostgresServer, backup: Taken, shop: str, postgres_role: MakeRole
) -> None:
    """It owns the target, and may not give tables to the owner that the backup names."""
    restorer, other = postgres_role("CREATEDB"), postgres_role()
    source = postgres_server.create_database("of_another")
    postgres_server.execute(
        source,
        "CREATE TABLE t ()",
        f"ALTER TABLE t OWNER TO {other.name}",
        f"ALTER DATABASE of_another OWNER TO {restorer.name}",
    )
    taken = take(engine_for(postgres_server, source))
    postgres_server.execute("postgres", f"ALTER DATABASE {shop} OWNER TO {restorer.name}")
    before = contents(postgres_server, shop)
    options = RestoreRequest(shop, replace=True)
    with pytest.raises(SinkFailed, match="ALTER TABLE public.t OWNER"):
        with engine_for(postgres_server, role=restorer).restore(
            options, taken.inventory, Silent()
        ) as session:
            fill(session, taken.members)
    assert contents(postgres_server, shop) == before
    assert is_as_before(postgres_server)


def test_sessions_that_may_not_be_ended_stop_the_swap_and_are_named(
    postgres_server: PostgresServer, backup: Taken, shop: str, postgres_role: MakeRole
) -> None:
    restorer = postgres_role("CREATEDB")
    postgres_server.execute("postgres", f"ALTER DATABASE {shop} OWNER TO {restorer.name}")
    client = postgres_server.connect(shop)
    with pytest.raises(DatabaseError, match="one of postgres") as caught:
        with replacing(postgres_server, backup, role=restorer) as session:
            session.commit()
    assert "pg_signal_backend" in caught.value.hint
    assert client.execute("SELECT what FROM old").fetchall() == [("precious",)]
    client.close()
    assert is_as_before(postgres_server)


def test_a_locked_original_is_left_alone(
    postgres_server: PostgresServer, backup: Taken, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_LOCK_SECONDS", 1)
    with postgres_server.connect() as other, other.transaction(force_rollback=True):
        other.execute("ALTER DATABASE shop RENAME TO shop_for_now")
        with pytest.raises(DatabaseError.__base__, match="locked"):
            with replacing(postgres_server, backup) as session:
                session.commit()
    assert is_as_before(postgres_server)


def test_names_at_the_limit_are_cut_before_the_moment(
    postgres_server: PostgresServer, backup: Taken, shop: str
) -> None:
    long = "é" * 31
    postgres_server.create_database(long)
    with replacing(postgres_server, backup, long) as session:
        session.commit()
    assert tables(postgres_server, long) == ["t"]
    assert len(session.retained_as.encode()) in (62, 63)
    assert session.retained_as in postgres_server.databases()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_kill_9_around_the_swap_leaves_one_or_the_other(
    postgres_server: PostgresServer, backup: Taken, shop: str, tmp_path: Path, moment: str
) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes(backup.members["dump.pgc"])
    client = postgres_server.connect(shop)
    password = postgres_server.password.reveal()
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, postgres_server.url(shop), dump, moment],
        cwd=ROOT,
        env={**os.environ, "DATABASE_SECRET": password},
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    client.close()
    if moment == "after":
        assert tables(postgres_server, shop) == ["t"]
        [old] = kept(postgres_server)
        assert tables(postgres_server, old) == ["old"]
        assert eventually(lambda: scratches(postgres_server) == [])
        return
    # in the swap's own transaction, with its locks held and the renames done: the server notices
    assert eventually(lambda: tables(postgres_server, shop) == ["old"])
    drop_databases(postgres_server, set(scratches(postgres_server)))
    assert is_as_before(postgres_server)


_KILLED = """
import os, sys
from contextlib import contextmanager
from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.replace import swap
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.server.url import parse_url
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.progress import Silent
from covetbackup.core.stream.secret import Secret
url, dump, moment = sys.argv[1:]
renamed, swapped = swap.rename_database, swap.swap
def rename_and_die(connection, name, new):
    renamed(connection, name, new)
    if new == parse_url(url).database:
        os.kill(os.getpid(), 9)
def swap_and_die(*a, **k):
    swapped(*a, **k)
    os.kill(os.getpid(), 9)
if moment == "before":
    swap.rename_database = rename_and_die
else:
    swap.swap = swap_and_die
engine = PostgresEngine(parse_url(url), Secret(os.environ["DATABASE_SECRET"]))
request = RestoreRequest(replace=True, owner="none")
with engine.restore(request, Inventory(), Silent()) as session:
    sink = session.sink(MemberRange("dump.pgc"), Silent())
    with open(dump, "rb") as file:
        sink.write(file.read())
    sink.commit()
    session.commit()
"""


def test_swap_back_and_drop(postgres_server: PostgresServer, backup: Taken, shop: str) -> None:
    with replacing(postgres_server, backup) as session:
        session.commit()
    old, settings = session.retained_as, postgres_server.settings()
    password = postgres_server.password
    with (
        connect_maintenance(settings, password, application="test") as connection,
        connect_maintenance(settings, password, application="test") as second,
    ):
        identity = swap.identity_of(connection, old)
        swap.swap(connection, second, target=shop, incoming=old, retained_as="copy")
        assert identity is not None and swap.find_by_identity(connection, identity) == shop
        assert tables(postgres_server, shop) == ["old"]
        assert tables(postgres_server, "copy") == ["t"]
        client = postgres_server.connect("copy")
        assert [one.user for one in swap.sessions_in(connection, "copy")] == ["postgres"]
        with pytest.raises(TargetNotEmpty.__base__, match="in use"):
            swap.drop_retained(connection, "copy")
        client.close()
        assert eventually(lambda: not swap.sessions_in(connection, "copy"))
        swap.drop_retained(connection, "copy")
    assert "copy" not in postgres_server.databases()
