"""Jobs while everything around them fails at random moments. Slow."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psutil
import psycopg
import pytest

from tests.support.postgres import PostgresServer
from tests.web.jobs.cluster import Cluster, descendants, kill, wait_until, workers_of
from tests.web.jobs.test_chaos import busiest, overlaps, start_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_no_kill_loses_or_doubles_a_job(any_cluster: Cluster) -> None:
    up = start_up(any_cluster)
    jobs = [
        any_cluster.enqueue("steps", argument={"seconds": 0.5}, max_attempts=50) for _ in range(50)
    ]
    chance = random.Random(7)
    victims: list[Callable[[], int]] = [
        lambda: int(any_cluster.lines("start")[-1][4]),  # a runner
        lambda: chance.choice(workers_of(any_cluster.ask("nodes")[-1]["pid"], "covet-busy")),
        lambda: int(any_cluster.ask("nodes")[-1]["pid"]),
        lambda: chance.choice([process.pid for process in descendants(up)]),
    ]
    deadline = time.monotonic() + 60
    while any_cluster.ask("states") != {"succeeded": 50} and time.monotonic() < deadline:
        time.sleep(chance.uniform(0.5, 3))
        try:
            kill(chance.choice(victims)())
        except (IndexError, OSError, psutil.Error):
            pass  # nothing of that sort runs just now
    wait_until(lambda: any_cluster.ask("states") == {"succeeded": 50}, 300)
    assert overlaps(any_cluster) == []
    assert busiest(any_cluster) <= 4
    wait_until(lambda: len({line[1] for line in any_cluster.lines("hook")}) == len(jobs), 150)


def test_a_catalog_that_goes_away_for_a_while_repeats_no_job(
    postgresql_cluster: Cluster, postgres_server: PostgresServer
) -> None:
    cluster = postgresql_cluster
    cluster.reset()
    cluster.worker()
    through = cluster.enqueue("steps", argument={"seconds": 20}, max_attempts=2)
    ends_meanwhile = cluster.enqueue("steps", argument={"seconds": 3}, max_attempts=2)
    cluster.runner_of(through), cluster.runner_of(ends_meanwhile)
    _refuse_connections(postgres_server, True)
    time.sleep(8)
    _refuse_connections(postgres_server, False)
    for job in (through, ends_meanwhile):
        assert cluster.wait_for(job, "succeeded", seconds=60)["attempts"] == [[1, "succeeded"]]
    later = cluster.enqueue("steps", argument={"seconds": 0.1})
    cluster.wait_for(later, "succeeded", seconds=60)
    cluster.reset()


def _refuse_connections(server: PostgresServer, refused: bool) -> None:
    word = "false" if refused else "true"
    with server.connect() as connection:
        connection.execute(f"ALTER DATABASE cluster ALLOW_CONNECTIONS {word}")
        _end_sessions(connection)


def _end_sessions(connection: psycopg.Connection) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cluster'"
    )
