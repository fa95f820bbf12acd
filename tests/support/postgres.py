"""Fixtures: a private PostgreSQL server per session, a fresh database per test, roles."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator

import pytest
from psycopg import sql

from covetbackup.core.stream.secret import Secret
from tests.support.postgres_server import (
    PostgresRole,
    PostgresServer,
    drop_databases,
    postgres_binaries,
    run_server,
)

__all__ = ["PostgresRole", "PostgresServer", "drop_databases", "postgres_binaries", "run_server"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The newest server installed; skips where there is none."""
    installed = postgres_binaries()
    if not installed:
        pytest.skip("no PostgreSQL server is installed")
    with run_server(installed[-1]) as server:
        yield server


@pytest.fixture
def postgres_tidy(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server; after the test every database and role that appeared is gone."""
    databases = set(postgres_server.databases())
    roles = _roles(postgres_server)
    try:
        yield postgres_server
    finally:
        drop_databases(postgres_server, set(postgres_server.databases()) - databases)
        _drop_roles(postgres_server, _roles(postgres_server) - roles)


@pytest.fixture
def postgres_database(postgres_tidy: PostgresServer) -> str:
    """The name of a fresh database."""
    return postgres_tidy.create_database(f"shop_{secrets.token_hex(4)}")


@pytest.fixture
def postgres_role(postgres_tidy: PostgresServer) -> Callable[..., PostgresRole]:
    """Makes login roles: `postgres_role("CREATEDB", name="x")`."""
    numbers = itertools.count(1)

    def make(attributes: str = "", *, name: str = "") -> PostgresRole:
        role = PostgresRole(
            name or f"role_{next(numbers)}_{secrets.token_hex(3)}", Secret(secrets.token_hex(8))
        )
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(
            sql.Identifier(role.name),
            sql.Literal(role.password.reveal()),
            sql.SQL(attributes),  # type: ignore[arg-type]
        )
        with postgres_tidy.connect() as connection:
            connection.execute(statement)
        return role

    return make


def _roles(server: PostgresServer) -> set[str]:
    return {name for (name,) in server.rows("postgres", "SELECT rolname FROM pg_roles")}


def _drop_roles(server: PostgresServer, names: set[str]) -> None:
    with server.connect() as connection:
        for name in names:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
