"""Real workers and runners, killed and stopped at every joint: no job is lost, none runs twice at
once, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from itertools import combinations

from tests.web.jobs.office import (
    Office,
    descendants,
    is_gone,
    kill,
    stop,
    wait_until,
    workers_of,
)

ENDLESS = ("steps", "blocked", "deaf", "family")
CLEANING_UP = 8
"""Seconds an orphaned runner may need to end."""


def test_a_job_runs_and_its_progress_is_seen(any_office: Office) -> None:
    any_office.worker()
    job = any_office.enqueue("steps", argument={"seconds": 2.5})
    any_office.wait_for(job, "running")
    wait_until(lambda: any_office.job(job)["done_bytes"] > 0, 10)
    assert any_office.job(job)["phase"] == "stepping"
    ended = any_office.wait_for(job, "succeeded")
    assert ended["total_bytes"] == 2500 and ended["rate"] > 0
    assert any_office.ask("events", job) == [
        ["phase", "stepping"],
        ["note", "one step after the other"],
    ]
    # claim and end, and at most one write for each second between
    assert ended["version"] <= 7
    assert overlaps(any_office) == []
    wait_until(lambda: any_office.job(job)["hook_due_at"] is None, 5)
    assert [line[3] for line in any_office.lines("hook", job)] == ["succeeded"]


def test_a_runner_keeps_nothing_open_of_what_it_was_forked_from(office: Office) -> None:
    office.worker()
    job = office.enqueue("baggage")
    office.wait_for(job, "succeeded")
    assert office.ask("events", job) == [["note", "socket"]], "its line, and no pipe of q2"


def test_a_killed_runner_is_noticed_and_its_job_repeated(office: Office) -> None:
    office.worker()
    job = office.enqueue("steps", argument={"seconds": 3}, max_attempts=2)
    kill(office.runner_of(job))
    wait_until(lambda: office.job(job)["state"] == "queued", 5)
    ended = office.wait_for(job, "succeeded")
    assert ended["attempts"] == [[1, "interrupted, retried"], [2, "succeeded"]]
    assert overlaps(office) == []


def test_a_killed_runner_without_attempts_left_ends_interrupted(office: Office) -> None:
    office.worker()
    job = office.enqueue("killed")
    ended = office.wait_for(job, "interrupted")
    assert "signal 9" in ended["error"] and ended["hint"]
    wait_until(lambda: bool(office.lines("hook", job)), 5)
    assert office.lines("hook", job)[0][3] == "interrupted"


def test_a_killed_supervisor_takes_its_runner_along(office: Office) -> None:
    office.worker()
    job = office.enqueue("family", max_attempts=2)
    runner = office.runner_of(job)
    wait_until(lambda: len(descendants(runner)) >= 2, 10)
    family = [runner, *(process.pid for process in descendants(runner))]
    kill(office.job(job)["owner_pid"])
    wait_until(lambda: office.job(job)["attempts"][0][1] != "", CLEANING_UP + 5)
    assert all(is_gone(process) for process in family)
    office.wait_for(job, "running")
    assert office.job(job)["attempt"] == 2
    assert overlaps(office) == []


def test_a_killed_worker_leaves_no_process_and_the_next_one_takes_over(any_office: Office) -> None:
    worker = any_office.worker()
    job = any_office.enqueue("steps", argument={"seconds": 4}, max_attempts=2)
    runner = any_office.runner_of(job)
    everybody = [process.pid for process in descendants(worker)]
    kill(worker.pid)
    wait_until(lambda: all(is_gone(process) for process in [*everybody, runner]), CLEANING_UP)
    any_office.worker()
    ended = any_office.wait_for(job, "succeeded")
    assert ended["attempts"] == [[1, "interrupted, retried"], [2, "succeeded"]]
    assert overlaps(any_office) == []


def test_a_supervisor_that_sleeps_past_its_lease_loses_the_job(any_office: Office) -> None:
    lease = {"COVET_TEST_LEASE": "6"}
    any_office.worker(**lease)
    job = any_office.enqueue("steps", argument={"seconds": 9}, max_attempts=2)
    any_office.runner_of(job)
    wait_until(lambda: any_office.job(job)["done_bytes"] > 0, 10)
    sleeper = any_office.job(job)["owner_pid"]
    os.kill(sleeper, signal.SIGSTOP)
    any_office.worker(**lease)
    wait_until(lambda: any_office.job(job)["attempt"] == 2, 30)
    os.kill(sleeper, signal.SIGCONT)
    ended = any_office.wait_for(job, "succeeded", seconds=40)
    assert ended["attempts"] == [[1, "interrupted, retried"], [2, "succeeded"]]
    assert overlaps(any_office) == []


def test_cancelling_ends_everything_within_ten_seconds(office: Office) -> None:
    office.worker()
    jobs = [office.enqueue(kind, argument={"seconds": 600}) for kind in ENDLESS]
    runners = [office.runner_of(job) for job in jobs]
    family = [process.pid for runner in runners for process in descendants(runner)]
    assert all(office.ask("cancel", job) for job in jobs)
    wait_until(lambda: office.ask("states") == {"cancelled": len(jobs)}, 10)
    assert all(is_gone(process) for process in [*runners, *family])
    wait_until(lambda: len(office.lines("hook")) == len(jobs), 5)
    assert {line[3] for line in office.lines("hook")} == {"cancelled"}


def test_cancelling_a_waiting_job_calls_its_hook_too(office: Office) -> None:
    job = office.enqueue("steps", argument={"seconds": 1})
    assert office.ask("cancel", job)
    office.worker()
    wait_until(lambda: bool(office.lines("hook", job)), 10)
    assert office.job(job)["state"] == "cancelled"
    assert office.lines("start", job) == []


def test_draining_puts_jobs_back_without_costing_an_attempt(office: Office) -> None:
    worker = office.worker()
    jobs = [office.enqueue(kind, argument={"seconds": 600}) for kind in ENDLESS]
    runners = [office.runner_of(job) for job in jobs]
    everybody = [process.pid for process in descendants(worker)]
    stop(worker, seconds=8)
    assert office.ask("states") == {"queued": len(jobs)}
    assert [office.job(job)["attempt"] for job in jobs] == [0] * len(jobs)
    assert all(is_gone(process) for process in [*runners, *everybody])
    assert office.lines("hook") == []


def test_a_drained_job_is_done_by_the_next_worker(office: Office) -> None:
    first = office.worker()
    job = office.enqueue("steps", argument={"seconds": 2})
    office.runner_of(job)
    stop(first, seconds=8)
    office.worker()
    assert office.wait_for(job, "succeeded")["attempts"] == [[1, "drained"], [1, "succeeded"]]
    assert overlaps(office) == []


def test_two_workers_and_too_many_bells_run_each_job_once(any_office: Office) -> None:
    any_office.worker()
    any_office.worker()
    jobs = [any_office.enqueue("steps", argument={"seconds": 0.1}) for _ in range(16)]
    for job in jobs:
        any_office.ask("ring_in_vain", job, 2)
    wait_until(lambda: any_office.ask("states") == {"succeeded": 16}, 60)
    assert len(any_office.lines("start")) == 16
    assert busiest(any_office) <= 4
    wait_until(lambda: any_office.ask("bells") == 0, 30)


def test_a_queue_that_no_worker_serves_waits_for_one_by_name(office: Office) -> None:
    office.worker()
    near = office.enqueue("steps", argument={"seconds": 0.1}, queue="near-the-database")
    far = office.enqueue("steps", argument={"seconds": 0.1})
    office.wait_for(far, "succeeded")
    assert "near-the-database" in office.ask("place", near)[1]
    office.worker(Q_CLUSTER_NAME="near-the-database")
    office.wait_for(near, "succeeded")


def test_failures_are_repeated_only_if_that_may_help(office: Office) -> None:
    office.worker()
    passing = office.enqueue("failing", argument={"succeeds": 2}, max_attempts=3)
    refused = office.enqueue("unwelcome", max_attempts=3)
    lasting = office.enqueue("unforeseen", max_attempts=3)
    ended = office.wait_for(lasting, "failed")
    assert ended["error_code"] == "ZeroDivisionError" and "kinds.py" in ended["details"]
    assert ended["attempts"] == [[1, "failed"]]
    assert office.wait_for(refused, "failed")["attempts"] == [[1, "failed"]]
    ended = office.wait_for(passing, "succeeded")
    assert ended["attempts"] == [[1, "failed, retried"], [2, "succeeded"]]
    assert ended["error"] == ""


def test_work_that_the_catalog_did_not_answer_is_begun_again_without_costing_an_attempt(
    office: Office,
) -> None:
    office.worker()
    job = office.enqueue("outage", argument={"times": 1})
    lasting = office.enqueue("outage", argument={"times": 99})
    ended = office.wait_for(job, "succeeded")
    assert ended["attempts"] == [[1, "catalog away, requeued"], [1, "succeeded"]]
    ended = office.wait_for(lasting, "failed")
    assert ended["attempts"][-2:] == [[1, "catalog away, requeued"], [1, "failed"]]
    message = "the catalog does not answer: server closed the connection unexpectedly"
    assert (ended["error"], ended["error_code"]) == (message, "CatalogUnavailable")
    assert "foresaw" not in office.messages()


def test_who_lost_the_permission_gets_no_work_done(office: Office) -> None:
    office.worker()
    job = office.enqueue("failing", argument={"succeeds": 1}, requested_by="leaver")
    ended = office.wait_for(job, "failed")
    assert ended["error_code"] == "PermissionLost" and "leaver" in ended["error"]
    assert office.lines("start", job) == []


def test_a_stuck_cluster_is_noticed_and_its_worker_ends(office: Office) -> None:
    worker = office.worker()
    wait_until(lambda: len(workers_of(worker, "covet-idle")) == 4, 10)
    reader = next(pid for pid in workers_of(worker, "covet-idle") if "pipe" in sleeps_in(pid))
    kill(reader)
    assert worker.wait(30) == 75


def test_a_worker_whose_sentinel_is_killed_ends_and_leaves_nothing(office: Office) -> None:
    worker = office.worker()
    job = office.enqueue("blocked", max_attempts=2)
    runner = office.runner_of(job)
    everybody = descendants(worker)
    sentinel = next(process for process in everybody if process.ppid() == worker.pid)
    sentinel.kill()
    assert worker.wait(20) == 70
    assert all(is_gone(process.pid) for process in [*everybody]) and is_gone(runner)
    assert office.job(job)["state"] == "queued"


def test_up_stops_within_eight_seconds_and_puts_the_job_back(office: Office) -> None:
    up = start_up(office)
    job = office.enqueue("steps", argument={"seconds": 600})
    office.runner_of(job)
    everybody = [process.pid for process in descendants(up)]
    stop(up, seconds=8)
    assert all(is_gone(process) for process in everybody)
    assert (office.job(job)["state"], office.job(job)["attempt"]) == ("queued", 0)


def test_up_starts_a_killed_worker_again_and_dies_with_all_it_started(office: Office) -> None:
    up = start_up(office)
    job = office.enqueue("steps", argument={"seconds": 5}, max_attempts=2)
    office.runner_of(job)
    kill(office.ask("nodes")[-1]["pid"])
    wait_until(lambda: office.job(job)["attempt"] == 2, 30)
    everybody = [process.pid for process in descendants(up)]
    kill(up.pid)
    wait_until(lambda: all(is_gone(process) for process in everybody), 15)
    assert overlaps(office) == []


def start_up(office: Office) -> subprocess.Popen[bytes]:
    up = office.start("up", "--bind", "127.0.0.1:0")
    wait_until(lambda: bool(office.ask("nodes")), 30)
    return up


def sleeps_in(process: int) -> str:
    with open(f"/proc/{process}/wchan") as place:
        return place.read()


def overlaps(office: Office) -> list[Span]:
    """Attempts at jobs of which two were alive at the same time, judged by what they wrote."""
    spans = spans_of(office)
    return [
        one
        for one, other in combinations(spans, 2)
        if one.job == other.job and max(one.first, other.first) <= min(one.last, other.last)
    ]


def busiest(office: Office) -> int:
    """The most attempts that were alive at once."""
    spans = spans_of(office)
    return max(sum(one.first <= other.first <= one.last for one in spans) for other in spans)


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last line that one attempt wrote."""

    job: str
    first: float
    last: float


def spans_of(office: Office) -> list[Span]:
    times: dict[tuple[str, str], list[float]] = {}
    for when, job, what, token, *_ in map(str.split, office.log.read_text().splitlines()):
        if what != "hook":
            times.setdefault((job, token), []).append(float(when))
    return [Span(job, written[0], written[-1]) for (job, _), written in times.items()]
