"""Reaching a server: names are never parsed, failures say what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from covetbackup.core.databases.postgresql.server.connection import connect
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.core.stream.secret import Secret
from tests.support.postgres import PostgresServer


def test_a_wrong_password_is_named_and_not_shown(postgres_server: PostgresServer) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        connect(postgres_server.settings(), Secret("hunter2-canary"), application="test")
    assert "password" in caught.value.message
    assert "--password-file" in caught.value.hint
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("change", "word"),
    [({"port": 1}, "nothing listens"), ({"host": "host.invalid"}, "host.invalid")],
)
def test_an_unreachable_server_is_named(
    postgres_server: PostgresServer, change: dict[str, object], word: str
) -> None:
    settings = replace(postgres_server.settings(), **change)  # type: ignore[arg-type]
    with pytest.raises(DatabaseUnavailable, match=word) as caught:
        connect(settings, postgres_server.password, application="test")
    assert caught.value.hint


def test_a_missing_database_is_named(postgres_server: PostgresServer) -> None:
    with pytest.raises(DatabaseUnavailable, match="no database 'nowhere'"):
        connect(postgres_server.settings("nowhere"), postgres_server.password, application="test")


def test_a_socket_directory_is_a_host(postgres_server: PostgresServer) -> None:
    settings = replace(postgres_server.settings(), host=str(postgres_server.directory))
    connect(settings, postgres_server.password, application="test").close()


def test_a_known_address_is_used_without_resolving_the_host(
    postgres_server: PostgresServer,
) -> None:
    settings = replace(postgres_server.settings(), host="host.invalid", address="127.0.0.1")
    connect(settings, postgres_server.password, application="test").close()
