"""Jobs whose work is cut off from its server, or killed in the midst of a restore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lossy_link import lossy_link
from tests.support.mariadb import MysqlServer
from tests.support.postgres import PostgresServer
from tests.support.slow_restore import BRAKE, SLOW, is_standing
from tests.web.jobs.cluster import Cluster, kill, wait_until

SHOP = "shop_of_jobs"
COPY = "copy_of_jobs"


@pytest.fixture
def archive(tmp_path: Path, postgres_tidy: PostgresServer) -> Iterator[Cluster]:
    """An cluster with a PostgreSQL server, whose database `SHOP` is there and empty."""
    postgres_tidy.create_database(SHOP)
    cluster = Cluster(tmp_path, shell="backup_shell", settings="short_timeout_settings")
    (tmp_path / "files").mkdir()
    password = postgres_tidy.password.reveal()
    cluster.ask("furnish", str(tmp_path / "files"), postgres_tidy.port, password)
    yield cluster
    cluster.close()


@pytest.fixture
def port_of_postgres(postgres_tidy: PostgresServer) -> int:
    rows = "SELECT g, repeat(md5(g::text), 30) AS fat FROM generate_series(1, 30000) g"
    postgres_tidy.execute(SHOP, f"CREATE TABLE one AS {rows}")
    return postgres_tidy.port


@pytest.fixture
def port_of_mariadb(mariadb_tidy: MysqlServer, archive: Cluster) -> int:
    mariadb_tidy.execute(None, f"CREATE DATABASE {SHOP}")
    rows = "SELECT seq AS g, repeat(md5(seq), 30) AS fat FROM seq_1_to_30000"
    mariadb_tidy.execute(SHOP, f"CREATE TABLE one AS {rows}")
    password = mariadb_tidy.password.reveal()
    archive.ask("add_server", "mariadb", "mysql", "root", mariadb_tidy.port, password)
    return mariadb_tidy.port


@pytest.mark.parametrize("server", ["postgres", pytest.param("mariadb", marks=pytest.mark.slow)])
def test_a_backup_that_lost_its_link_is_tried_again_and_then_succeeds(
    archive: Cluster, request: pytest.FixtureRequest, server: str
) -> None:
    with lossy_link(request.getfixturevalue(f"port_of_{server}")) as link:
        archive.worker(prefix=link.prefix)
        link.cut_after(10_000_000)
        job = archive.ask("back_up", server, SHOP, "none")
        wait_until(link.is_cut, 60)
        wait_until(lambda: len(archive.job(job)["attempts"]) > 1, 60)
        assert archive.job(job)["attempts"][0] == [1, "failed, retried"]
        link.heal()
        archive.wait_for(job, "succeeded", seconds=60)
    said = [text for _, text in archive.ask("events", job)]
    assert any("connection" in text.lower() for text in said), said
    assert archive.ask("published") != []
    assert archive.ask("orphans") == []
    assert archive.ask("damaged") == []


def test_a_restore_that_is_killed_ends_interrupted_and_another_one_succeeds(
    archive: Cluster, postgres_tidy: PostgresServer
) -> None:
    table = "CREATE TABLE one AS SELECT generate_series(1, 10) AS g"
    postgres_tidy.execute(SHOP, SLOW, table, "CREATE INDEX ON one (slow(g))")
    archive.worker()
    backup = archive.ask("back_up", "postgres", SHOP, "zstd:3")
    archive.wait_for(backup, "succeeded")
    before = {*postgres_tidy.databases()}
    postgres_tidy.create_database(BRAKE)
    job = archive.ask("restore", backup, COPY)
    wait_until(lambda: is_standing(postgres_tidy, "CREATE INDEX"), 60)
    kill(archive.runner_of(job))
    ended = archive.wait_for(job, "interrupted")
    assert ended["attempts"] == [[1, "interrupted"]]
    wait_until(lambda: archive.ask("remains", job) != {}, 30)
    postgres_tidy.execute("postgres", f"DROP DATABASE {BRAKE}")
    assert {*postgres_tidy.databases()} == before
    archive.wait_for(archive.ask("restore", backup, COPY), "succeeded")
    assert postgres_tidy.rows(COPY, "SELECT count(*) FROM one") == [(10,)]
