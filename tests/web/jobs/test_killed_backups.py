"""Real backups while workers, web server and broker are killed at random moments: none is lost,
none is taken twice, and the repository holds whole backups and nothing else."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest

from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer, run_redis
from tests.web.catalog import make_file
from tests.web.jobs.chaos import Chaos
from tests.web.jobs.cluster import IN_THE_FOLDER, Cluster, catalog_on, stop, wait_until
from tests.web.jobs.test_chaos import overlaps

CODECS = ("zstd:3", "lzma:6")
ROWS = """
    CREATE TABLE item AS SELECT n, md5(n::text) || md5((-n)::text) AS name
    FROM generate_series(1, {rows}) AS n
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with run_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def archive(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    broker: RedisServer,
    postgres_tidy: PostgresServer,
) -> Iterator[Cluster]:
    """A cluster with real databases, its catalog as the parameter says."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    catalog = IN_THE_FOLDER
    if request.param == "postgresql":
        postgres_tidy.create_database("archive")
        catalog = catalog_on(postgres_tidy, "archive")
    cluster = Cluster(
        folder, catalog, broker_url=broker.url, shell="backup_shell", settings="archive_settings"
    )
    (folder / "files").mkdir()
    cluster.ask(
        "furnish", str(folder / "files"), postgres_tidy.port, postgres_tidy.password.reveal()
    )
    yield cluster
    cluster.close()


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
def test_a_few_backups_outlive_some_kills(
    archive: Cluster, broker: RedisServer, postgres_tidy: PostgresServer
) -> None:
    names = make_databases(archive, postgres_tidy, each=2, rows=20_000)
    outlive(archive, broker, names, kill_seconds=8, pause=0.6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("archive", ["sqlite", "postgresql"], indirect=True)
def test_fifty_backups_outlive_every_kill(
    archive: Cluster, broker: RedisServer, postgres_tidy: PostgresServer
) -> None:
    names = make_databases(archive, postgres_tidy, each=25, rows=40_000)
    outlive(archive, broker, names, kill_seconds=150, pause=1.5)


def make_databases(
    cluster: Cluster, postgres: PostgresServer, *, each: int, rows: int
) -> list[tuple[str, str]]:
    """As many of either kind: their servers' names and their own."""
    first = make_file(cluster.folder / "files" / "shop0.db", rows=rows // 3)
    postgres.execute(postgres.create_database("shop0"), ROWS.format(rows=rows))
    for number in range(1, each):
        shutil.copyfile(first, first.with_name(f"shop{number}.db"))
        postgres.create_database(f"shop{number}", "TEMPLATE shop0")
    pairs = [(("files", f"shop{n}.db"), ("postgres", f"shop{n}")) for n in range(each)]
    return [name for pair in pairs for name in pair]


def outlive(
    cluster: Cluster,
    broker: RedisServer,
    names: list[tuple[str, str]],
    *,
    kill_seconds: float,
    pause: float,
) -> None:
    place = f"127.0.0.1:{free_port()}"
    up = cluster.start("up", "--bind", place)
    wait_until(lambda: bool(cluster.ask("nodes")), 30)
    jobs = [cluster.ask("back_up", *name, CODECS[n // 2 % 2]) for n, name in enumerate(names)]
    chaos = Chaos(cluster, up.pid, broker, seed=7)
    done = {"succeeded": len(jobs)}
    chaos.go_on(while_so=lambda: cluster.ask("states") != done, seconds=kill_seconds, pause=pause)
    wait_while_it_moves(cluster, done)
    wait_until(lambda: cluster.ask("hooks_due") == 0, 60)
    wait_until(lambda: serves(place), 60)
    stop(up, seconds=10)
    report(cluster, chaos)
    assert sum(chaos.killed.values()) > 0
    assert overlaps(cluster) == []
    found = cluster.ask("backups")
    assert sorted(backup["job"] for backup in found) == sorted(jobs)
    assert {backup["state"] for backup in found} == {"available"}
    assert sorted(backup["label"] for backup in found) == sorted(cluster.ask("published"))
    print(f"left before the sweep: {cluster.ask('orphans')}, swept: {cluster.ask('sweep')}")
    assert cluster.ask("orphans") == []
    assert cluster.ask("damaged") == []


def wait_while_it_moves(cluster: Cluster, done: dict[str, int]) -> None:
    """Until all is done; a quarter of an hour is long, two minutes without an end are too long."""
    seen, since = 0, time.monotonic()
    while (states := cluster.ask("states")) != done:
        if states.get("succeeded", 0) != seen:
            seen, since = states["succeeded"], time.monotonic()
        assert time.monotonic() - since < 120, (states, cluster.messages())
        time.sleep(0.5)


def serves(place: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{place}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def report(cluster: Cluster, chaos: Chaos) -> None:
    seconds = [
        (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
        for _, _, start, end in cluster.ask("attempts")
        if start and end
    ]
    print(
        f"killed: {dict(chaos.killed)}, jobs: {cluster.ask('states')}, "
        f"attempts: {len(seconds)}, {median(seconds):.1f} s each, at most {max(seconds):.1f} s"
    )
