"""PostgreSQL's own regression database comes back as the stock programs bring it back.

Slow: its scripts alone take minutes, and each version's sources come from Debian's archive.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import unified_diff
from pathlib import Path

import pytest

from covetbackup.core.databases.inventory import differences
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from tests.support.other_suites import POSTGRESQL_18, Unobtainable, unpacked
from tests.support.postgres import PostgresServer, postgres_binaries, run_server
from tests.support.postgres_backup import contents, put_back, schema_of, take
from tests.support.postgres_regression import make_regression_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.mark.parametrize("version", ["installed", "18"])
def test_the_regression_database_comes_back_as_by_the_stock_programs(
    version: str, tmp_path: Path
) -> None:
    with _server(version) as server:
        source = _made(server)
        taken = take(_engine(server, source))
        restored = put_back(_engine(server, "postgres"), taken, server.url("ours"), jobs=2)
        assert differences(taken.inventory, restored) == []
        _by_stock_programs(server, source, "stock", tmp_path / "regression.pgc")
        stock, ours = (schema_of(server, name).splitlines() for name in ("stock", "ours"))
        assert list(unified_diff(stock, ours, "stock", "ours", lineterm="")) == []
        assert contents(server, "ours") == contents(server, "stock")


def _engine(server: PostgresServer, database: str) -> PostgresEngine:
    return PostgresEngine(
        server.settings(database), server.password, client_directories=[server.binaries]
    )


@contextmanager
def _server(version: str) -> Iterator[PostgresServer]:
    with run_server(_programs(version)) as server:
        yield server


def _programs(version: str) -> Path:
    if version == "installed":
        installed = postgres_binaries()
        return installed[-1] if installed else pytest.skip("no PostgreSQL server is installed")
    try:
        return (unpacked(POSTGRESQL_18) / POSTGRESQL_18.programs[0]).parent
    except Unobtainable as error:
        pytest.skip(f"PostgreSQL {version} cannot be had: {error}")


def _made(server: PostgresServer) -> str:
    try:
        return make_regression_database(server)
    except Unobtainable as error:
        pytest.skip(f"the regression database cannot be made: {error}")


def _by_stock_programs(server: PostgresServer, source: str, copy: str, archive: Path) -> None:
    server.create_database(copy, "TEMPLATE template0")
    environment = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.password.reveal(),
    }
    for command in (
        ["pg_dump", "--format=custom", f"--dbname={source}", f"--file={archive}"],
        ["pg_restore", "--exit-on-error", f"--dbname={copy}", str(archive)],
    ):
        program, *arguments = command
        subprocess.run([server.binaries / program, *arguments], env=environment, check=True)
