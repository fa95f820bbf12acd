"""An office for each kind of catalog; emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.support.postgres import PostgresServer
from tests.web.jobs.office import Office


@pytest.fixture(scope="session")
def sqlite_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("office"))
    yield office
    office.close()


@pytest.fixture(scope="session")
def postgresql_office(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Office]:
    postgres_server.create_database("office")
    user = f"postgres:{quote(postgres_server.password.reveal())}"
    url = f"postgresql://{user}@127.0.0.1:{postgres_server.port}/office?sslmode=disable"
    office = Office(tmp_path_factory.mktemp("office"), url)
    yield office
    office.close()
    postgres_server.execute("postgres", "DROP DATABASE office WITH (FORCE)")


@pytest.fixture
def office(sqlite_office: Office) -> Iterator[Office]:
    """With a SQLite catalog."""
    sqlite_office.reset()
    yield sqlite_office
    sqlite_office.reset()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def any_office(request: pytest.FixtureRequest) -> Iterator[Office]:
    """With each kind of catalog. What differs between them is raced for in `test_races`."""
    office = request.getfixturevalue(f"{request.param}_office")
    office.reset()
    yield office
    office.reset()
