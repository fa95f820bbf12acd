"""Notifications through a Redis server: nothing depends on what it remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from covetbackup import checks
from tests.support.redis_server import RedisServer, run_redis
from tests.web.jobs.cluster import Cluster, wait_until


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with run_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def redis_cluster(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), broker_url=redis_server.url)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(redis_cluster: Cluster, redis_server: RedisServer) -> Iterator[Cluster]:
    redis_cluster.reset()
    redis_server.client.flushall()
    yield redis_cluster
    redis_cluster.reset()


def test_jobs_run_and_leave_no_notification(cluster: Cluster, redis_server: RedisServer) -> None:
    cluster.worker()
    jobs = [cluster.enqueue("steps", argument={"seconds": 0.1}) for _ in range(6)]
    wait_until(lambda: cluster.ask("states") == {"succeeded": 6}, 60)
    assert len(cluster.lines("start")) == len(jobs)
    assert cluster.ask("notifications") == 0, "in the catalog"
    wait_until(lambda: redis_server.client.keys() == [], 30)


def test_a_killed_broker_loses_no_job(cluster: Cluster, redis_server: RedisServer) -> None:
    cluster.worker()
    running = cluster.enqueue("steps", argument={"seconds": 4})
    cluster.runner_of(running)
    redis_server.kill()
    meanwhile = [cluster.enqueue("steps", argument={"seconds": 0.1}) for _ in range(3)]
    assert cluster.wait_for(running, "succeeded")["attempts"] == [[1, "succeeded"]]
    assert {cluster.job(job)["state"] for job in meanwhile} == {"queued"}
    redis_server.start()
    for job in meanwhile:
        assert cluster.wait_for(job, "succeeded", seconds=60)["attempts"] == [[1, "succeeded"]]
    assert "Traceback" not in cluster.messages()
    assert "does not answer" in cluster.messages()


def test_a_notification_that_the_broker_forgot_is_sent_again(
    cluster: Cluster, redis_server: RedisServer
) -> None:
    job = cluster.enqueue("steps", argument={"seconds": 0.1})
    assert len(redis_server.client.keys()) == 1
    redis_server.kill()
    redis_server.start()
    cluster.worker()
    cluster.wait_for(job, "succeeded", seconds=60)


def test_a_worker_starts_while_the_broker_is_away(
    cluster: Cluster, redis_server: RedisServer
) -> None:
    redis_server.kill()
    cluster.worker()
    job = cluster.enqueue("steps", argument={"seconds": 0.1})
    redis_server.start()
    cluster.wait_for(job, "succeeded", seconds=60)


def test_a_job_that_is_rolled_back_notifies_no_worker(
    cluster: Cluster, redis_server: RedisServer
) -> None:
    cluster.ask("enqueue_and_roll_back", "steps", {"seconds": 0.1})
    assert cluster.ask("states") == {} and redis_server.client.keys() == []
    cluster.enqueue("steps", argument={"seconds": 0.1})
    assert len(redis_server.client.keys()) == 1


def test_two_dashboards_on_one_server_get_their_own_notifications_only(
    cluster: Cluster, redis_server: RedisServer, tmp_path: Path
) -> None:
    other = Cluster(tmp_path, broker_url=redis_server.url, secret_key="of another dashboard, " * 3)
    try:
        other.reset()
        other.worker()
        cluster.enqueue("steps", argument={"seconds": 0.1})
        theirs = other.enqueue("steps", argument={"seconds": 0.1})
        other.wait_for(theirs, "succeeded", seconds=60)
        assert len(redis_server.client.keys()) == 1, "ours is still there"
    finally:
        other.close()


@pytest.mark.parametrize(
    "url",
    ["localhost", "http://localhost", "redis://localhost:port", "redis://h/0?socket_timeout=x"],
)
def test_an_address_of_no_broker_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BROKER_URL", url)
    (message,) = checks.check_broker()
    assert message.id == "covetbackup.E008" and "redis://" in str(message.hint)


def test_a_broker_that_cannot_be_reached_is_a_warning_without_its_password(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "BROKER_URL", redis_server.url)
    assert checks.check_broker() == []
    redis_server.client.config_set("requirepass", "right")
    for port in (redis_server.port, 1):
        monkeypatch.setattr(settings, "BROKER_URL", f"redis://:hush@127.0.0.1:{port}/0")
        (message,) = checks.check_broker()
        assert message.id == "covetbackup.W008" and message.hint
        assert "hush" not in message.msg
    redis_server.client.config_set("requirepass", "")


def test_a_wrong_address_keeps_a_worker_from_starting(cluster: Cluster) -> None:
    worker = cluster.start("worker", Q_CLUSTER_NAME="jobs", COVET_BROKER_URL="http://nowhere")
    assert worker.wait(60) == 1
    assert "covetbackup.E008" in cluster.messages() and "Traceback" not in cluster.messages()
