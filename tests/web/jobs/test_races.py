"""Many processes after the same jobs: each job has one winner, and no limit is ever passed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.web.jobs.cluster import ROOT, Cluster

CLAIMERS = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    cluster: Cluster = request.getfixturevalue(f"{request.param}_cluster")
    cluster.reset()
    return cluster


def test_each_job_is_claimed_once(cluster: Cluster) -> None:
    jobs = [cluster.enqueue("steps") for _ in range(40)]
    assert sorted(race(cluster, jobs, limit=1000)) == sorted(jobs)


def test_no_slot_takes_more_than_its_limit(cluster: Cluster) -> None:
    slots = {"one": 0, "two": 0}
    jobs = {
        cluster.enqueue("steps", server_slot=slot, repository_slot="shelf"): slot
        for slot in slots
        for _ in range(12)
    }
    won = race(cluster, list(jobs), limit=3)
    assert len(won) == 3, "of the repository and of all"
    assert max(Counter(jobs[job] for job in won).values()) <= 2, "of each server"


def test_of_the_jobs_for_one_target_one_runs(cluster: Cluster) -> None:
    jobs = [cluster.enqueue("steps", lock_key="shop") for _ in range(20)]
    assert len(race(cluster, jobs, limit=1000)) == 1


def race(cluster: Cluster, jobs: list[int], *, limit: int) -> list[int]:
    """The jobs that were won, by whomever."""
    node = cluster.ask("add_node")
    environment = cluster.environment | {"COVET_TEST_LIMIT": str(limit)}
    claimers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.web.jobs.claimer", node, *map(str, jobs)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(CLAIMERS)
    ]
    for claimer in claimers:
        assert claimer.stdout is not None and claimer.stdout.readline() == "ready\n"
    won = [claimer.communicate("go\n", timeout=60)[0] for claimer in claimers]
    assert [claimer.returncode for claimer in claimers] == [0] * CLAIMERS
    return [int(job) for line in won for job in line.split()]
