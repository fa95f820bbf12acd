"""A copy does not reach out by itself: not to the publisher of the original's subscriptions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covetbackup.core.databases.base import restore_notes
from covetbackup.core.databases.postgresql.inventory.external_connections import (
    external_connection_notices,
)
from covetbackup.core.databases.restore import RestoreRequest
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import Notes, Taken, engine_for, fill, take


@pytest.fixture
def taken(postgres_tidy: PostgresServer) -> Iterator[tuple[PostgresServer, Taken]]:
    """Of a database "followed" that is gone. Nothing listens where its publisher would be."""
    server = postgres_tidy
    server.create_database("followed")
    server.execute(
        "followed",
        "CREATE SUBSCRIPTION follow CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p"
        " WITH (connect = false, slot_name = 'original')",
        "CREATE FOREIGN DATA WRAPPER other",
        "CREATE SERVER back FOREIGN DATA WRAPPER other OPTIONS (host 'h', dbname 'followed')",
        "CREATE SERVER away FOREIGN DATA WRAPPER other OPTIONS (host 'h', dbname 'elsewhere')",
    )
    found = take(engine_for(server, "followed"))
    without_subscription(server, "followed")
    server.execute("postgres", "DROP DATABASE followed")
    yield server, found
    for name in {"followed", "copied"}.intersection(server.databases()):
        without_subscription(server, name)


def without_subscription(server: PostgresServer, database: str) -> None:
    detach = "ALTER SUBSCRIPTION follow SET (slot_name = NONE)"
    server.execute(database, detach, "DROP SUBSCRIPTION follow")


def restored(server: PostgresServer, taken: Taken, name: str) -> tuple[str, ...]:
    options = RestoreRequest(name)
    with engine_for(server).restore(options, taken.inventory, Notes()) as session:
        fill(session, taken.members)
        assert restore_notes(session) == ()
        session.commit()
        return restore_notes(session)


def test_a_subscription_of_a_copy_is_disabled_and_has_no_slot(
    taken: tuple[PostgresServer, Taken],
) -> None:
    """Dropping it with the slot would drop the original's on the publisher."""
    server, backup = taken
    (warning,) = [one for one in backup.outcome.warnings if "subscriptions disabled" in one]
    assert "subscription follow" in warning and "foreign server back" in warning
    lines = external_connection_notices(backup.inventory, "copied")
    assert ["without a slot" in lines[0], "back" in lines[1], "away" in lines[1]] == [1, 1, 0]
    assert len(external_connection_notices(backup.inventory, "followed")) == 1
    query = "SELECT subenabled, subslotname FROM pg_subscription"
    subscriptions, servers = restored(server, backup, "copied")
    assert server.rows("copied", query) == [(False, None)]
    assert "have no slot" in subscriptions and "follow" in subscriptions
    assert "back" in servers and "away" not in servers
    without_subscription(server, "copied")
    server.execute("postgres", "DROP DATABASE copied")
    (subscriptions,) = restored(server, backup, "followed")
    assert server.rows("followed", query) == [(False, "original")]
    assert "follow" in subscriptions
