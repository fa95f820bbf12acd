"""A pooler in transaction mode is recognised before anything is set in a session of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.server.connection import PostgresSettings
from covetbackup.core.errors import BadSetting
from tests.support.pgbouncer import pooler
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import Taken, put_back, take

_SETTINGS = (
    "SELECT current_setting('search_path'), current_setting('row_security'),"
    " current_setting('lock_timeout'), current_setting('idle_session_timeout', true),"
    " current_setting('tcp_keepalives_idle')"
)


@pytest.fixture(params=["transaction", "statement"])
def shared(
    request: pytest.FixtureRequest, postgres_server: PostgresServer
) -> Iterator[PostgresSettings]:
    with pooler(postgres_server, request.param) as settings:
        yield settings


def application(settings: PostgresSettings, server: PostgresServer) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=server.password.reveal(),
        dbname=settings.database,
        autocommit=True,
        prepare_threshold=None,
    )


def test_nothing_is_done_through_a_pooler_that_shares_its_sessions(
    postgres_server: PostgresServer, shared: PostgresSettings
) -> None:
    engine = PostgresEngine(shared, postgres_server.password)
    with application(shared, postgres_server) as own:
        before = own.execute(_SETTINGS).fetchone()
        with pytest.raises(BadSetting) as probed:
            engine.probe()
        with pytest.raises(BadSetting):
            take(engine)
        with pytest.raises(BadSetting):
            put_back(engine, _nothing(postgres_server), f"postgresql://postgres@{_at(shared)}/copy")
        assert own.execute(_SETTINGS).fetchone() == before
    assert "is a connection pooler in transaction mode" in probed.value.message
    assert "PostgreSQL server itself" in probed.value.hint


def test_an_application_that_is_busy_hides_no_pooler(postgres_server: PostgresServer) -> None:
    with pooler(postgres_server, "transaction", server_round_robin="1") as settings:
        engine = PostgresEngine(settings, postgres_server.password)
        with (
            application(settings, postgres_server) as one,
            application(settings, postgres_server) as two,
            one.transaction(),
            two.transaction(),
        ):
            one.execute("SELECT 1")
            two.execute("SELECT 1")
            with pytest.raises(BadSetting):
                engine.probe()


@pytest.mark.parametrize("size", ["1", "5"])
def test_a_pool_of_sessions_is_as_good_as_the_server(
    postgres_server: PostgresServer, size: str
) -> None:
    with pooler(postgres_server, "session", default_pool_size=size) as settings:
        probe = PostgresEngine(settings, postgres_server.password).probe()
    assert probe.kind == "postgresql"


def _at(settings: PostgresSettings) -> str:
    return f"{settings.host}:{settings.port}"


def _nothing(server: PostgresServer) -> Taken:
    return take(PostgresEngine(server.settings(), server.password))
