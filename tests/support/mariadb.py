"""Fixtures: a private MariaDB server per session, a fresh database per test, accounts."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator

import pytest

from covetbackup.core.stream.secret import Secret
from tests.support.mariadb_server import MysqlServer, MysqlUser, mariadb_installed, run_mariadb

__all__ = ["MysqlServer", "MysqlUser", "quoted"]

MakeUser = Callable[..., MysqlUser]


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MysqlServer]:
    """Skips where there is no MariaDB."""
    if not mariadb_installed():
        pytest.skip("no MariaDB server is installed")
    with run_mariadb() as server:
        yield server


@pytest.fixture
def mariadb_tidy(mariadb_server: MysqlServer) -> Iterator[MysqlServer]:
    """The server; after the test every database and account that appeared is gone."""
    databases, accounts = mariadb_server.databases(), _accounts(mariadb_server)
    try:
        yield mariadb_server
    finally:
        for name in mariadb_server.databases() - databases:
            mariadb_server.execute(None, f"DROP DATABASE {quoted(name)}")
        for account in _accounts(mariadb_server) - accounts:
            mariadb_server.execute(None, f"DROP USER {account}")


@pytest.fixture
def mariadb_database(mariadb_tidy: MysqlServer) -> str:
    """The name of a fresh database."""
    return create_database(mariadb_tidy)


@pytest.fixture
def mariadb_user(mariadb_tidy: MysqlServer) -> MakeUser:
    """Makes accounts: `mariadb_user("SELECT ON shop.*", "RELOAD ON *.*", name="x")`."""
    numbers = itertools.count(1)

    def make(*grants: str, name: str = "", password: str = "") -> MysqlUser:
        user = MysqlUser(
            name or f"user_{next(numbers)}_{secrets.token_hex(3)}",
            Secret(password or secrets.token_hex(8)),
        )
        with mariadb_tidy.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", user_values(user))
            for grant in grants:
                cursor.execute(f"GRANT {grant.replace('%', '%%')} TO %s@'%%'", [user.name])
        return user

    return make


def user_values(user: MysqlUser) -> list[str]:
    return [user.name, user.password.reveal()]


def create_database(server: MysqlServer, name: str = "", options: str = "") -> str:
    name = name or f"shop_{secrets.token_hex(4)}"
    server.execute(None, f"CREATE DATABASE {quoted(name)} {options}")
    return name


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _accounts(server: MysqlServer) -> set[str]:
    rows = server.rows(None, "SELECT concat(quote(User), '@', quote(Host)) FROM mysql.user")
    return {account for (account,) in rows}
