"""A cluster for each kind of catalog; emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer
from tests.web.jobs.cluster import Cluster, catalog_on


@pytest.fixture(scope="session")
def sqlite_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def postgresql_cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Cluster]:
    postgres_server.create_database("cluster")
    catalog = catalog_on(postgres_server, "cluster")
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), catalog)
    yield cluster
    cluster.close()
    postgres_server.execute("postgres", "DROP DATABASE cluster WITH (FORCE)")


@pytest.fixture
def cluster(sqlite_cluster: Cluster) -> Iterator[Cluster]:
    """With a SQLite catalog."""
    sqlite_cluster.reset()
    yield sqlite_cluster
    sqlite_cluster.reset()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def any_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """With each kind of catalog. What differs between them is raced for in `test_races`."""
    cluster = request.getfixturevalue(f"{request.param}_cluster")
    cluster.reset()
    yield cluster
    cluster.reset()
