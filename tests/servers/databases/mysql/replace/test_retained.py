"""Replacing a MariaDB database: one step, and before it the original serves whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pymysql
import pytest

from covetbackup.core.databases.mysql.replace import metadata_tables, retained, swap
from covetbackup.core.databases.mysql.replace.locks import MetadataLockQueue
from covetbackup.core.databases.mysql.restore.new_database import LogicalRestore
from covetbackup.core.databases.mysql.restore.scratch import PREFIX
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import BadSetting, Cancelled, DatabaseError, ServerBusy, TargetNotEmpty
from covetbackup.core.progress import Silent
from tests.support.mariadb import MakeUser, MysqlServer, create_database
from tests.support.mariadb_backup import (
    Taken,
    contents,
    definitions,
    engine_for,
    fill,
    fill_richly,
    settings_for,
    take,
)
from tests.support.paths import ROOT

TARGET = "shop"
_OLD = (
    "CREATE TABLE parent (id int PRIMARY KEY, child int)",
    "CREATE TABLE child (id int PRIMARY KEY, parent int,"
    " CONSTRAINT up FOREIGN KEY (parent) REFERENCES parent (id))",
    "ALTER TABLE parent ADD CONSTRAINT down FOREIGN KEY (child) REFERENCES child (id)",
    "INSERT INTO parent VALUES (1, NULL)",
    "INSERT INTO child VALUES (1, 1)",
    "UPDATE parent SET child = 1",
    "CREATE TABLE `old ☃` (what varchar(20), at timestamp DEFAULT now())",
    "CREATE SEQUENCE numbers START WITH 7",
    "CREATE TABLE numbered (id bigint DEFAULT nextval(numbers), t text)",
    "CREATE TRIGGER shop.second AFTER INSERT ON shop.parent FOR EACH ROW"
    " INSERT INTO `old ☃` (what) VALUES ('second')",
    "CREATE TRIGGER first AFTER INSERT ON parent FOR EACH ROW PRECEDES second"
    " INSERT INTO `old ☃` (what) VALUES ('first')",
    "CREATE FUNCTION thrice(x int) RETURNS int DETERMINISTIC RETURN x * 3",
    "CREATE DEFINER = 'absent'@'nowhere' SQL SECURITY INVOKER VIEW seen"
    " AS SELECT thrice(id) AS i FROM parent",
    "CREATE EVENT awake ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01' DO DELETE FROM `old ☃`",
    "CREATE EVENT asleep ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM `old ☃`",
)


@pytest.fixture(scope="module")
def backup(mariadb_server: MysqlServer) -> Iterator[Taken]:
    database = create_database(mariadb_server, "backed_up")
    fill_richly(mariadb_server, database)
    yield take(engine_for(mariadb_server, database), streams=2)
    mariadb_server.execute(None, f"DROP DATABASE {database}")


@pytest.fixture
def shop(backup: Taken, mariadb_tidy: MysqlServer) -> str:
    """The database to be replaced; everything that appears goes when the test ends."""
    create_database(mariadb_tidy, TARGET, "CHARACTER SET latin1")
    mariadb_tidy.execute(TARGET, *_OLD)
    return TARGET


@contextmanager
def replacing(server: MysqlServer, backup: Taken, name: str = TARGET) -> Iterator[LogicalRestore]:
    """A session that holds all of the backup."""
    options = RestoreRequest(name, replace=True)
    with engine_for(server, name).restore(options, backup.inventory, Silent()) as session:
        fill(session, backup)
        yield session  # type: ignore[misc]


def kept(server: MysqlServer) -> list[str]:
    return [name for name in server.databases() if "_replaced_" in name or name.startswith(PREFIX)]


def facts(server: MysqlServer, database: str, *, with_events: bool = True) -> dict[str, Any]:
    """All there is in a database, but our own marks, and with the order of its triggers."""
    rows = {k: v for k, v in contents(server, database).items() if k not in metadata_tables.TABLES}
    shown = {
        name: text.replace("DISABLE", "ENABLE") if name.startswith("EVENT") else text
        for name, text in definitions(server, database).items()
        if not name.startswith("TRIGGER") and name.split(" ", 1)[1] not in metadata_tables.TABLES
    }
    triggers = server.rows(None, _TRIGGERS.format(database))
    status = f"SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '{database}'"
    events = server.rows(None, status + " ORDER BY EVENT_NAME") if with_events else []
    keys = server.rows(None, _KEYS.format(database))
    charset = "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = "
    own = server.rows(None, f"{charset}'{database}'")
    return {
        "own": own,
        "rows": rows,
        "shown": shown,
        "triggers": triggers,
        "events": events,
        "keys": keys,
    }


_TRIGGERS = """
SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER,
       ACTION_STATEMENT, DEFINER, SQL_MODE, COLLATION_CONNECTION
FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{}' ORDER BY 1
"""
_KEYS = """
SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME,
       CONSTRAINT_SCHEMA = UNIQUE_CONSTRAINT_SCHEMA
FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '{}' ORDER BY 1
"""


@contextmanager
def as_before(server: MysqlServer) -> Iterator[None]:
    """The original is whole after the body, marks included, and nothing else is there."""
    before = facts(server, TARGET)
    yield
    assert facts(server, TARGET) == before
    assert set(metadata_tables.TABLES).isdisjoint(contents(server, TARGET))
    assert kept(server) == []


def test_the_copy_has_the_place_and_the_original_is_kept(
    mariadb_server: MysqlServer, backup: Taken, shop: str
) -> None:
    before = facts(mariadb_server, shop, with_events=False)
    with replacing(mariadb_server, backup) as session:
        session.commit()
    assert kept(mariadb_server) == [session.retained_as]
    assert facts(mariadb_server, shop) == facts(mariadb_server, "backed_up")
    assert facts(mariadb_server, session.retained_as, with_events=False) == before
    asleep = "SELECT DISTINCT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '{}'"
    assert mariadb_server.rows(None, asleep.format(session.retained_as)) == [("DISABLED",)]
    # Keys and triggers, cycles included, belong to the database that they are in.
    with pytest.raises(pymysql.err.IntegrityError):
        mariadb_server.execute(session.retained_as, "DELETE FROM parent WHERE id = 1")
    mariadb_server.execute(session.retained_as, "INSERT INTO parent VALUES (5, NULL)")
    mariadb_server.execute(session.retained_as, "INSERT INTO numbered (t) VALUES ('x')")
    logged = mariadb_server.rows(session.retained_as, "SELECT what FROM `old ☃`")
    assert logged == [("first",), ("second",)]


def test_a_backup_of_what_was_replaced_is_that_of_the_copy(
    mariadb_server: MysqlServer, backup: Taken, shop: str
) -> None:
    """Our marks are in no dump: whoever restores it elsewhere would have two of one identity."""
    with replacing(mariadb_server, backup) as session:
        session.commit()
    again = take(engine_for(mariadb_server, shop))
    assert again.rows == backup.rows
    assert not any(
        metadata_tables.IDENTITY.encode() in content for content in again.members.values()
    )


def test_swapped_back_and_dropped(mariadb_server: MysqlServer, backup: Taken, shop: str) -> None:
    before = facts(mariadb_server, shop)
    with replacing(mariadb_server, backup) as session:
        session.commit()
    old = session.retained_as
    another = partial(connect, settings_for(mariadb_server, shop), mariadb_server.password)
    with another() as connection:
        identity = retained.identity_of(connection, old)
        found = swap.swap_databases(
            connection, another, target=shop, incoming=old, retained_as="copy"
        )
        assert found == []
        assert identity is not None and retained.find_by_identity(connection, identity) == shop
        assert facts(mariadb_server, shop) == before
        copy = facts(mariadb_server, "copy", with_events=False)
        assert copy == facts(mariadb_server, "backed_up", with_events=False)
        assert old not in mariadb_server.databases()
        client = mariadb_server.connect("copy")
        assert [one.user for one in retained.sessions_in(connection, "copy")] == ["root"]
        with pytest.raises(ServerBusy, match="in use by root"):
            retained.drop_retained(connection, "copy")
        client.close()
        while retained.sessions_in(connection, "copy"):
            time.sleep(0.05)
        connection.execute("USE information_schema")
        retained.drop_retained(connection, "copy")
    assert "copy" not in mariadb_server.databases()


def test_a_name_given_to_another_database_is_known_for_that(
    mariadb_server: MysqlServer, backup: Taken, shop: str
) -> None:
    with replacing(mariadb_server, backup) as session:
        session.commit()
    with connect(settings_for(mariadb_server, shop), mariadb_server.password) as connection:
        identity = retained.identity_of(connection, shop)
        assert identity is not None
        mariadb_server.execute(None, "DROP DATABASE shop", "CREATE DATABASE shop")
        assert retained.identity_of(connection, shop) not in (identity, None)
        assert retained.find_by_identity(connection, identity) is None
        assert retained.identity_of(connection, "nowhere") is None


def test_a_table_in_use_is_said_and_nothing_has_changed(
    mariadb_server: MysqlServer, backup: Taken, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "LOCK_SECONDS", 1)
    reader = mariadb_server.connect(shop)
    with as_before(mariadb_server), pytest.raises(ServerBusy, match="in use"):
        with replacing(mariadb_server, backup) as session:
            with reader.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT * FROM numbered")
            try:
                session.commit()
            finally:
                reader.close()


@pytest.mark.parametrize(
    "step",
    ["write_plan", "set_identity", "set_events_enabled", "wait_until_unused", "acquire", "run"],
)
def test_a_failure_at_any_step_before_the_rename_leaves_the_original_whole(
    mariadb_server: MysqlServer,
    backup: Taken,
    shop: str,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    place: Any = next(
        each for each in (metadata_tables, swap, MetadataLockQueue) if hasattr(each, step)
    )
    real = getattr(place, step)

    def failing(*given: Any, **named: Any) -> None:
        monkeypatch.setattr(place, step, real)
        if step != "run":
            real(*given, **named)
        raise pymysql.err.OperationalError(1, "no more")

    monkeypatch.setattr(place, step, failing)
    with as_before(mariadb_server), pytest.raises(DatabaseError, match="no more"):
        with replacing(mariadb_server, backup) as session:
            session.commit()


def test_a_cancel_before_the_swap_leaves_the_original(
    mariadb_server: MysqlServer, backup: Taken, shop: str
) -> None:
    with as_before(mariadb_server), pytest.raises(Cancelled):
        with replacing(mariadb_server, backup):
            raise Cancelled


def test_without_the_option_nothing_is_replaced(
    mariadb_server: MysqlServer, backup: Taken, shop: str
) -> None:
    options = RestoreRequest(shop)
    with as_before(mariadb_server), pytest.raises(TargetNotEmpty):
        with engine_for(mariadb_server, shop).restore(options, backup.inventory, Silent()):
            pytest.fail("the restore began")


@pytest.mark.parametrize("name", ["nowhere", "mysql", "sys", f"{PREFIX}x"])
def test_what_cannot_be_replaced_is_refused_at_once(
    mariadb_server: MysqlServer, backup: Taken, shop: str, name: str
) -> None:
    with pytest.raises(BadSetting), replacing(mariadb_server, backup, name):
        pytest.fail("the restore began")


def test_keys_of_other_databases_are_not_led_astray(
    mariadb_server: MysqlServer, backup: Taken, shop: str
) -> None:
    create_database(mariadb_server, "other")
    mariadb_server.execute(
        "other", "CREATE TABLE o (i int, FOREIGN KEY (i) REFERENCES shop.parent (id))"
    )
    with pytest.raises(DatabaseError, match=r"other\.o"), replacing(mariadb_server, backup):
        pytest.fail("the restore began")
    mariadb_server.execute(None, "DROP DATABASE other")  # before the one that it refers to


def test_rights_that_are_missing_are_named_with_their_grant(
    mariadb_server: MysqlServer, backup: Taken, shop: str, mariadb_user: MakeUser
) -> None:
    restorer = mariadb_user("ALL ON `covet\\_tmp\\_%`.*")
    settings = settings_for(mariadb_server, shop, restorer)
    mariadb_server.execute(None, f"GRANT SELECT ON {shop}.* TO '{restorer.name}'@'%'")
    for _ in ("on the database", "on those it will be kept as"):
        with connect(settings, restorer.password) as connection:
            with pytest.raises(DatabaseError, match="may not replace") as caught:
                retained.refuse_irreplaceable(connection, shop)
        mariadb_server.execute(None, caught.value.hint.split(": ", 1)[1].rstrip(";"))
    options = RestoreRequest(shop, replace=True, owner="none")
    mariadb_server.execute(None, "SET GLOBAL log_bin_trust_function_creators = 1")
    # Else it could not read the bodies of routines that others made.
    mariadb_server.execute(None, f"GRANT SELECT ON mysql.proc TO '{restorer.name}'@'%'")
    with (
        as_before(mariadb_server),
        pytest.raises(DatabaseError, match="could not be created again"),
    ):
        with engine_for(mariadb_server, shop, restorer).restore(
            options, backup.inventory, Silent()
        ) as session:
            fill(session, backup)
            session.commit()
    mariadb_server.execute(None, f"GRANT SET USER ON *.* TO '{restorer.name}'@'%'")
    with engine_for(mariadb_server, shop, restorer).restore(
        options, backup.inventory, Silent()
    ) as session:
        fill(session, backup)
        session.commit()
    assert "kinds" in contents(mariadb_server, shop)


@pytest.mark.parametrize(
    ("step", "is_done"),
    [
        ("acquire", False),
        ("run", False),
        ("half", True),
        ("create_triggers", True),
        ("finish", True),
    ],
)
def test_kill_9_leaves_a_plan_that_is_undone_or_finished(
    mariadb_server: MysqlServer, backup: Taken, shop: str, step: str, is_done: bool
) -> None:
    """`half` is what a crash of the server can leave: some tables moved and others not."""
    before = facts(mariadb_server, shop)
    settings, password = settings_for(mariadb_server, shop), mariadb_server.password
    incoming = create_database(mariadb_server, f"{PREFIX}20260101t000000z_00c0ffee")
    mariadb_server.execute(
        incoming,
        "CREATE TABLE parent (id int)",
        "CREATE TABLE t (i int)",
        "CREATE TRIGGER parent_t AFTER INSERT ON parent FOR EACH ROW INSERT INTO t VALUES (1)",
        "CREATE VIEW v AS SELECT id FROM parent",
    )
    command = [sys.executable, "-c", _SWAPPING, mariadb_server.url(shop), incoming, step]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    with process, connect(settings, password) as connection:
        process.stdin.write(password.reveal().encode())
        process.stdin.close()
        assert process.stdout.readline() == b"there\n"
        assert swap.recover(connection) == []  # it is alive
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        while swap.recover(connection) != ["kept"]:
            time.sleep(0.05)  # the server has not noticed yet
        assert swap.recover(connection) == []
    if not is_done:
        assert facts(mariadb_server, shop) == before
        assert "kept" not in mariadb_server.databases()
        assert set(metadata_tables.TABLES).isdisjoint(contents(mariadb_server, shop))
        return
    mariadb_server.execute(shop, "INSERT INTO parent VALUES (3)")
    assert set(contents(mariadb_server, shop)) == {"parent", "t", "v", metadata_tables.IDENTITY}
    assert mariadb_server.rows(shop, "SELECT count(*) FROM t") == [(1,)]
    kept_facts, before["events"] = facts(mariadb_server, "kept", with_events=False), []
    assert kept_facts == before
    assert incoming not in mariadb_server.databases()


_SWAPPING = """
import sys, time
from functools import partial
from covetbackup.core.databases.mysql.replace import swap
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.mysql.replace.locks import MetadataLockQueue
from covetbackup.core.databases.mysql.server.url import parse_url
from covetbackup.core.stream.secret import Secret
url, incoming, step = sys.argv[1:]
def wait(*given):
    print("there", flush=True)
    time.sleep(60)
def half(queue, statement, again):
    queue.runner.execute(", ".join(statement.split(", ")[:3]))
    wait()
if step == "half":
    MetadataLockQueue.run = half
elif step == "acquire":
    real = MetadataLockQueue.acquire
    MetadataLockQueue.acquire = lambda *given: (real(*given), wait())
else:
    setattr(MetadataLockQueue if step == "run" else swap, step, wait)
another = partial(connect, parse_url(url), Secret(sys.stdin.readline()))
with another() as connection:
    names = {"target": "shop", "incoming": incoming, "retained_as": "kept"}
    swap.swap_databases(connection, another, **names, enabled_events=())
"""
