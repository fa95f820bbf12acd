"""Real workers and runners, killed and stopped at every joint: no job is lost, none runs twice at
once, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from itertools import combinations

from tests.web.jobs.cluster import Cluster, descendants, is_gone, kill, stop, wait_until, workers_of

ENDLESS = ("steps", "blocked", "deaf", "family")
CLEANING_UP = 8
"""Seconds an orphaned runner may need to end."""


def test_a_job_runs_and_its_progress_is_seen(any_cluster: Cluster) -> None:
    any_cluster.worker()
    job = any_cluster.enqueue("steps", argument={"seconds": 2.5})
    any_cluster.wait_for(job, "running")
    wait_until(lambda: any_cluster.job(job)["done_bytes"] > 0, 10)
    assert any_cluster.job(job)["phase"] == "stepping"
    ended = any_cluster.wait_for(job, "succeeded")
    assert ended["total_bytes"] == 2500 and ended["rate"] > 0
    assert any_cluster.ask("events", job) == [
        ["phase", "stepping"],
        ["note", "one step after the other"],
    ]
    # claim and end, and at most one write for each second between
    assert ended["version"] <= 7
    assert overlaps(any_cluster) == []
    wait_until(lambda: any_cluster.job(job)["hook_due_at"] is None, 5)
    assert [line[3] for line in any_cluster.lines("hook", job)] == ["succeeded"]


def test_a_runner_keeps_nothing_open_of_what_it_was_forked_from(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.enqueue("baggage")
    cluster.wait_for(job, "succeeded")
    assert cluster.ask("events", job) == [["note", "socket"]], "its line, and no pipe of q2"


def test_a_killed_runner_is_noticed_and_its_job_repeated(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.enqueue("steps", argument={"seconds": 3}, max_attempts=2)
    kill(cluster.runner_of(job))
    wait_until(lambda: cluster.job(job)["state"] == "queued", 5)
    ended = cluster.wait_for(job, "succeeded")
    assert ended["attempts"] == [[1, "interrupted, retried"], [2, "succeeded"]]
    assert overlaps(cluster) == []


def test_a_killed_runner_without_attempts_left_ends_interrupted(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.enqueue("killed")
    ended = cluster.wait_for(job, "interrupted")
    assert "signal 9" in ended["error"] and ended["hint"]
    wait_until(lambda: bool(cluster.lines("hook", job)), 5)
    assert cluster.lines("hook", job)[0][3] == "interrupted"


def test_a_killed_supervisor_takes_its_runner_along(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.enqueue("family", max_attempts=2)
    runner = cluster.runner_of(job)
    wait_until(lambda: len(descendants(runner)) >= 2, 10)
    family = [runner, *(process.pid for process in descendants(runner))]
    kill(cluster.job(job)["owner_pid"])
    wait_until(lambda: cluster.job(job)["attempts"][0][1] != "", CLEANING_UP + 5)
    assert all(is_gone(process) for process in family)
    cluster.wait_for(job, "running")
    assert cluster.job(job)["attempt"] == 2
    assert overlaps(cluster) == []


def test_a_killed_worker_leaves_no_process_and_the_next_one_takes_over(
    any_cluster: Cluster,
) -> None:
    worker = any_cluster.worker()
    job = any_cluster.enqueue("steps", argument={"seconds": 4}, max_attempts=2)
    runner = any_cluster.runner_of(job)
    everybody = [process.pid for process in descendants(worker)]
    kill(worker.pid)
    wait_until(lambda: all(is_gone(process) for process in [*everybody, runner]), CLEANING_UP)
    any_cluster.worker()
    ended = any_cluster.wait_for(job, "succeeded")
    assert ended["attempts"] == [[1, "interrupted, retried"], [2, "succeeded"]]
    assert overlaps(any_cluster) == []


def test_a_supervisor_that_sleeps_past_its_lease_loses_the_job(any_cluster: Cluster) -> None:
    lease = {"COVET_TEST_LEASE": "6"}
    any_cluster.worker(**lease)
    job = any_cluster.enqueue("steps", argument={"seconds": 9}, max_attempts=2)
    any_cluster.runner_of(job)
    wait_until(lambda: any_cluster.job(job)["done_bytes"] > 0, 10)
    sleeper = any_cluster.job(job)["owner_pid"]
    os.kill(sleeper, signal.SIGSTOP)
    any_cluster.worker(**lease)
    wait_until(lambda: any_cluster.job(job)["attempt"] == 2, 30)
    os.kill(sleeper, signal.SIGCONT)
    ended = any_cluster.wait_for(job, "succeeded", seconds=40)
    assert ended["attempts"] == [[1, "interrupted, retried"], [2, "succeeded"]]
    assert overlaps(any_cluster) == []


def test_cancelling_ends_everything_within_ten_seconds(cluster: Cluster) -> None:
    cluster.worker()
    jobs = [cluster.enqueue(kind, argument={"seconds": 600}) for kind in ENDLESS]
    runners = [cluster.runner_of(job) for job in jobs]
    family = [process.pid for runner in runners for process in descendants(runner)]
    assert all(cluster.ask("cancel", job) for job in jobs)
    wait_until(lambda: cluster.ask("states") == {"cancelled": len(jobs)}, 10)
    assert all(is_gone(process) for process in [*runners, *family])
    wait_until(lambda: len(cluster.lines("hook")) == len(jobs), 5)
    assert {line[3] for line in cluster.lines("hook")} == {"cancelled"}


def test_cancelling_a_waiting_job_calls_its_hook_too(cluster: Cluster) -> None:
    job = cluster.enqueue("steps", argument={"seconds": 1})
    assert cluster.ask("cancel", job)
    cluster.worker()
    wait_until(lambda: bool(cluster.lines("hook", job)), 10)
    assert cluster.job(job)["state"] == "cancelled"
    assert cluster.lines("start", job) == []


def test_draining_puts_jobs_back_without_costing_an_attempt(cluster: Cluster) -> None:
    worker = cluster.worker()
    jobs = [cluster.enqueue(kind, argument={"seconds": 600}) for kind in ENDLESS]
    runners = [cluster.runner_of(job) for job in jobs]
    everybody = [process.pid for process in descendants(worker)]
    stop(worker, seconds=8)
    assert cluster.ask("states") == {"queued": len(jobs)}
    assert [cluster.job(job)["attempt"] for job in jobs] == [0] * len(jobs)
    assert all(is_gone(process) for process in [*runners, *everybody])
    assert cluster.lines("hook") == []


def test_a_drained_job_is_done_by_the_next_worker(cluster: Cluster) -> None:
    first = cluster.worker()
    job = cluster.enqueue("steps", argument={"seconds": 2})
    cluster.runner_of(job)
    stop(first, seconds=8)
    cluster.worker()
    assert cluster.wait_for(job, "succeeded")["attempts"] == [[1, "drained"], [1, "succeeded"]]
    assert overlaps(cluster) == []


def test_two_workers_and_too_many_notifications_run_each_job_once(any_cluster: Cluster) -> None:
    any_cluster.worker()
    any_cluster.worker()
    jobs = [any_cluster.enqueue("steps", argument={"seconds": 0.1}) for _ in range(16)]
    for job in jobs:
        any_cluster.ask("ring_in_vain", job, 2)
    wait_until(lambda: any_cluster.ask("states") == {"succeeded": 16}, 60)
    assert len(any_cluster.lines("start")) == 16
    assert busiest(any_cluster) <= 4
    wait_until(lambda: any_cluster.ask("notifications") == 0, 30)


def test_a_queue_that_no_worker_serves_waits_for_one_by_name(cluster: Cluster) -> None:
    cluster.worker()
    near = cluster.enqueue("steps", argument={"seconds": 0.1}, queue="near-the-database")
    far = cluster.enqueue("steps", argument={"seconds": 0.1})
    cluster.wait_for(far, "succeeded")
    assert "near-the-database" in cluster.ask("place", near)[1]
    cluster.worker(Q_CLUSTER_NAME="near-the-database")
    cluster.wait_for(near, "succeeded")


def test_failures_are_repeated_only_if_that_may_help(cluster: Cluster) -> None:
    cluster.worker()
    passing = cluster.enqueue("failing", argument={"succeeds": 2}, max_attempts=3)
    refused = cluster.enqueue("unwelcome", max_attempts=3)
    lasting = cluster.enqueue("unforeseen", max_attempts=3)
    ended = cluster.wait_for(lasting, "failed")
    assert ended["error_code"] == "ZeroDivisionError" and "kinds.py" in ended["details"]
    assert ended["attempts"] == [[1, "failed"]]
    assert cluster.wait_for(refused, "failed")["attempts"] == [[1, "failed"]]
    ended = cluster.wait_for(passing, "succeeded")
    assert ended["attempts"] == [[1, "failed, retried"], [2, "succeeded"]]
    assert ended["error"] == ""


def test_work_that_the_catalog_did_not_answer_is_begun_again_without_costing_an_attempt(
    cluster: Cluster,
) -> None:
    cluster.worker()
    job = cluster.enqueue("outage", argument={"times": 1})
    lasting = cluster.enqueue("outage", argument={"times": 99})
    ended = cluster.wait_for(job, "succeeded")
    assert ended["attempts"] == [[1, "catalog away, requeued"], [1, "succeeded"]]
    ended = cluster.wait_for(lasting, "failed")
    assert ended["attempts"][-2:] == [[1, "catalog away, requeued"], [1, "failed"]]
    message = "the catalog does not answer: server closed the connection unexpectedly"
    assert (ended["error"], ended["error_code"]) == (message, "CatalogUnavailable")
    assert "foresaw" not in cluster.messages()


def test_who_lost_the_permission_gets_no_work_done(cluster: Cluster) -> None:
    cluster.worker()
    job = cluster.enqueue("failing", argument={"succeeds": 1}, requested_by="leaver")
    ended = cluster.wait_for(job, "failed")
    assert ended["error_code"] == "PermissionLost" and "leaver" in ended["error"]
    assert cluster.lines("start", job) == []


def test_a_stuck_cluster_is_noticed_and_its_worker_ends(cluster: Cluster) -> None:
    worker = cluster.worker()
    wait_until(lambda: len(workers_of(worker, "covet-idle")) == 4, 10)
    reader = next(pid for pid in workers_of(worker, "covet-idle") if "pipe" in sleeps_in(pid))
    kill(reader)
    assert worker.wait(30) == 75


def test_a_worker_whose_sentinel_is_killed_ends_and_leaves_nothing(cluster: Cluster) -> None:
    worker = cluster.worker()
    job = cluster.enqueue("blocked", max_attempts=2)
    runner = cluster.runner_of(job)
    everybody = descendants(worker)
    sentinel = next(process for process in everybody if process.ppid() == worker.pid)
    sentinel.kill()
    assert worker.wait(20) == 70
    assert all(is_gone(process.pid) for process in [*everybody]) and is_gone(runner)
    assert cluster.job(job)["state"] == "queued"


def test_up_stops_within_eight_seconds_and_puts_the_job_back(cluster: Cluster) -> None:
    up = start_up(cluster)
    job = cluster.enqueue("steps", argument={"seconds": 600})
    cluster.runner_of(job)
    everybody = [process.pid for process in descendants(up)]
    stop(up, seconds=8)
    assert all(is_gone(process) for process in everybody)
    assert (cluster.job(job)["state"], cluster.job(job)["attempt"]) == ("queued", 0)


def test_up_starts_a_killed_worker_again_and_dies_with_all_it_started(cluster: Cluster) -> None:
    up = start_up(cluster)
    job = cluster.enqueue("steps", argument={"seconds": 5}, max_attempts=2)
    cluster.runner_of(job)
    kill(cluster.ask("nodes")[-1]["pid"])
    wait_until(lambda: cluster.job(job)["attempt"] == 2, 30)
    everybody = [process.pid for process in descendants(up)]
    kill(up.pid)
    wait_until(lambda: all(is_gone(process) for process in everybody), 15)
    assert overlaps(cluster) == []


def start_up(cluster: Cluster) -> subprocess.Popen[bytes]:
    up = cluster.start("up", "--bind", "127.0.0.1:0")
    wait_until(lambda: bool(cluster.ask("nodes")), 30)
    return up


def sleeps_in(process: int) -> str:
    with open(f"/proc/{process}/wchan") as place:
        return place.read()


def overlaps(cluster: Cluster) -> list[Span]:
    """Attempts at jobs of which two were alive at the same time, judged by what they wrote."""
    spans = spans_of(cluster)
    return [
        one
        for one, other in combinations(spans, 2)
        if one.job == other.job and max(one.first, other.first) <= min(one.last, other.last)
    ]


def busiest(cluster: Cluster) -> int:
    """The most attempts that were alive at once."""
    spans = spans_of(cluster)
    return max(sum(one.first <= other.first <= one.last for one in spans) for other in spans)


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last line that one attempt wrote."""

    job: str
    first: float
    last: float


def spans_of(cluster: Cluster) -> list[Span]:
    times: dict[tuple[str, str], list[float]] = {}
    for when, job, what, token, *_ in map(str.split, cluster.log.read_text().splitlines()):
        if what != "hook":
            times.setdefault((job, token), []).append(float(when))
    return [Span(job, written[0], written[-1]) for (job, _), written in times.items()]
