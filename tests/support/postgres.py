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
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a fresh database; after the test every database it made is gone."""
    before = set(postgres_server.databases())
    name = postgres_server.create_database(f"shop_{secrets.token_hex(4)}")
    try:
        yield name
    finally:
        drop_databases(postgres_server, set(postgres_server.databases()) - before)


@pytest.fixture
def postgres_role(
    postgres_server: PostgresServer, postgres_database: str
) -> Iterator[Callable[..., PostgresRole]]:
    """Makes login roles: `postgres_role("CREATEDB", name="reader")`; dropped after the test."""
    before = {name for (name,) in postgres_server.rows("postgres", _ALL_ROLES)}
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
        with postgres_server.connect() as connection:
            connection.execute(statement)
        return role

    try:
        yield make
    finally:
        made = {name for (name,) in postgres_server.rows("postgres", _ALL_ROLES)} - before
        _drop_roles(postgres_server, made)


_ALL_ROLES = "SELECT rolname FROM pg_roles"


def _drop_roles(server: PostgresServer, names: set[str]) -> None:
    for database in server.databases():
        if database == "template0":
            continue
        with server.connect(database) as connection:
            for name in names:
                statement = sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name))
                connection.execute(statement)
    with server.connect() as connection:
        for name in names:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
