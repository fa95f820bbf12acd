"""Scratch databases that cannot be dropped at once: said, ended after a limit, named truthfully."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from covetbackup.core.databases.base import unremoved
from covetbackup.core.databases.postgresql.replace import swap
from covetbackup.core.databases.postgresql.restore import drop_database
from covetbackup.core.databases.postgresql.restore.scratch import (
    PREFIX,
    cleanup_scratch,
    scratch_name,
)
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import ServerBusy
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import Notes, Taken, engine_for, fill, take

# No publisher is asked: nothing listens there.
_SUBSCRIPTION = (
    "CREATE SUBSCRIPTION follow CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p"
    " WITH (connect = false, slot_name = 'original')"
)


@pytest.fixture
def followed(postgres_server: PostgresServer, postgres_database: str) -> Iterator[str]:
    """A database with a subscription."""
    postgres_server.execute(postgres_database, "CREATE TABLE t (i int)", _SUBSCRIPTION)
    try:
        yield postgres_database
    finally:
        postgres_server.execute(
            postgres_database,
            "ALTER SUBSCRIPTION follow SET (slot_name = NONE)",
            "DROP SUBSCRIPTION follow",
        )


def scratch_databases(server: PostgresServer) -> list[str]:
    return [name for name in server.databases() if name.startswith(PREFIX)]


def drill(server: PostgresServer, taken: Taken, notes: Notes) -> str:
    """What is left of a restore without a commit."""
    options = RestoreRequest("drill")
    with engine_for(server).restore(options, taken.inventory, notes) as session:
        fill(session, taken.members)
        assert server.rows("postgres", "SELECT count(*) FROM pg_subscription") == [(2,)]
    return unremoved(session)


@contextmanager
def held(server: PostgresServer, database: str) -> Iterator[None]:
    """A lock of another session on a database, without being connected to it."""
    with server.connect() as connection, connection.transaction():
        connection.execute(f"COMMENT ON DATABASE {database} IS 'held'")  # type: ignore[arg-type]
        yield


def test_a_drill_removes_a_copy_with_a_subscription_without_asking_the_publisher(
    postgres_server: PostgresServer, followed: str
) -> None:
    taken = take(engine_for(postgres_server, followed))
    notes = Notes()
    assert drill(postgres_server, taken, notes) == ""
    assert scratch_databases(postgres_server) == []
    rows = postgres_server.rows(followed, "SELECT subname, subslotname FROM pg_subscription")
    assert rows == [("follow", "original")]
    with postgres_server.connect() as connection, pytest.raises(ServerBusy) as caught:
        swap.drop_retained(connection, followed)
    assert "used by logical replication subscription" in caught.value.message


def test_one_leftover_that_cannot_be_dropped_does_not_stop_the_sweep_of_others(
    postgres_tidy: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_database, "SAID_AFTER_SECONDS", 1)
    monkeypatch.setattr(drop_database, "LIMIT_SECONDS", 1)
    long_ago = datetime.now(UTC) - timedelta(days=2)
    names = sorted(scratch_name(long_ago + timedelta(hours=n)) for n in range(3))
    for name in names:
        postgres_tidy.create_database(name)
    postgres_tidy.execute(names[1], _SUBSCRIPTION)
    said: list[str] = []
    with held(postgres_tidy, names[0]):
        swept = cleanup_scratch(
            postgres_tidy.settings(), datetime.now(UTC), postgres_tidy.password, say=said.append
        )
    assert swept == names[1:]
    waits, left = said
    assert waits.startswith(f"dropping database '{names[0]}' waits for client backend with pid")
    assert f"scratch database '{names[0]}' was not dropped within 1 s" in left
    assert "it is left on the server, whole" in left
    assert scratch_databases(postgres_tidy) == names[:1]


def test_a_restore_whose_scratch_database_stays_names_it(
    postgres_tidy: PostgresServer, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_database, "SAID_AFTER_SECONDS", 1)
    monkeypatch.setattr(drop_database, "LIMIT_SECONDS", 1)
    postgres_tidy.execute(postgres_database, "CREATE TABLE t (i int)")
    taken = take(engine_for(postgres_tidy, postgres_database))
    notes = Notes()
    options = RestoreRequest("drill")
    with engine_for(postgres_tidy).restore(options, taken.inventory, notes) as session:
        fill(session, taken.members)
        (name,) = scratch_databases(postgres_tidy)
        holder = held(postgres_tidy, name)
        holder.__enter__()
    try:
        assert unremoved(session).startswith(f"scratch database '{name}' is left: ")
        assert unremoved(session) in notes.lines
    finally:
        holder.__exit__(None, None, None)
