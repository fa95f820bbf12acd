"""Every transition of a job against every situation it can meet, and what each one writes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ

from covetbackup.access.models import Team, User
from covetbackup.jobs import dispatch, hooks, queue, tick
from covetbackup.jobs.backoff import back_off
from covetbackup.jobs.models import Job, JobEvent, JobState, Node
from covetbackup.jobs.queue import Claim, End, JobReport
from tests.web.factories import make_job

TOKEN, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
MINUTE = timedelta(minutes=1)

SITUATIONS: dict[str, dict[str, Any]] = {
    "queued": {"state": "queued"},
    "later": {"state": "queued", "run_after": Now() + MINUTE, "attempt": 1},
    "held": {"state": "queued", "run_after": Now() + queue.HELD},
    "mine": {"state": "running", "token": TOKEN, "attempt": 1, "max_attempts": 2},
    "mine, last attempt": {"state": "running", "token": TOKEN, "attempt": 2, "max_attempts": 2},
    "mine, cancelled": {"state": "running", "token": TOKEN, "attempt": 1, "max_attempts": 2,
                        "cancel_requested_at": Now()},
    "another's": {"state": "running", "token": OTHER, "attempt": 1, "max_attempts": 2},
    "succeeded": {"state": "succeeded", "token": TOKEN},
    "failed": {"state": "failed", "token": TOKEN},
    "cancelled": {"state": "cancelled", "token": TOKEN},
    "interrupted": {"state": "interrupted", "token": TOKEN},
}  # fmt: skip

RUNNING = {"mine", "mine, last attempt", "mine, cancelled", "another's"}
MINE = RUNNING - {"another's"}

ACTS: dict[str, Callable[[Job, Node], object]] = {
    "claim": lambda job, node: queue.claim(job.pk, node.pk, 1),
    "heartbeat": lambda job, node: queue.heartbeat(as_claim(job), JobReport({"phase": "x"})),
    "succeed": lambda job, node: queue.finish(as_claim(job), End(JobState.SUCCEEDED)),
    "fail": lambda job, node: queue.finish(as_claim(job), End(JobState.FAILED, "Code", "no")),
    "retry": lambda job, node: queue.retry(as_claim(job), End(JobState.FAILED, "Code", "no")),
    "requeue": lambda job, node: queue.requeue(as_claim(job)),
    "interrupt": lambda job, node: queue.interrupt(as_claim(job), "it died"),
    "request_cancel": lambda job, node: queue.request_cancel(job, None),
    "release": lambda job, node: queue.release(job),
    "give_up": lambda job, node: queue.give_up(job, End(JobState.FAILED, "Code", "no")),
}

OUTCOMES: dict[tuple[str, str], str] = {
    ("claim", "queued"): "running",
    **{("heartbeat", one): "running" for one in MINE},
    **{("succeed", one): "succeeded" for one in MINE},
    **{("fail", one): "failed" for one in MINE},
    ("retry", "mine"): "queued",
    ("requeue", "mine"): "queued",
    ("requeue", "mine, last attempt"): "queued",
    ("interrupt", "mine"): "queued",
    ("interrupt", "mine, last attempt"): "interrupted",
    ("interrupt", "mine, cancelled"): "cancelled",
    ("request_cancel", "queued"): "cancelled",
    ("request_cancel", "later"): "cancelled",
    ("request_cancel", "held"): "cancelled",
    ("release", "held"): "queued",
    ("give_up", "held"): "failed",
    **{("request_cancel", one): "running" for one in RUNNING},
}
"""The state after an act that is taken; every other act is refused and changes nothing."""


@pytest.fixture
def node() -> Node:
    return make_node()


def make_node(**fields: Any) -> Node:
    defaults = {"host": "here", "queue": "jobs", "pid": 1, "version": "1", "capacity": 4}
    times = {"started_at": Now(), "heartbeat_at": Now()}
    return Node.objects.create(**({"instance": uuid.uuid4()} | defaults | times | fields))


def as_claim(job: Job) -> Claim:
    return Claim(job.pk, TOKEN, job.attempt, job.max_attempts)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("act", ACTS)
def test_an_act_is_taken_or_changes_nothing(
    team: Team, node: Node, act: str, situation: str
) -> None:
    job = make_job(team, **({"run_after": Now()} | SITUATIONS[situation]))
    before = Job.objects.filter(pk=job.pk).values().get()
    taken = ACTS[act](job, node)
    after = Job.objects.filter(pk=job.pk).values().get()
    expected = OUTCOMES.get((act, situation))
    assert bool(taken) == (expected is not None)
    assert after["state"] == (expected or before["state"])
    if expected is None:
        assert after == before
    elif situation != "mine, cancelled" or act != "request_cancel":
        assert after["version"] > before["version"], "whoever watches must see it"


def test_a_claim_gives_a_fresh_token_an_attempt_and_a_lease(team: Team, node: Node) -> None:
    job = make_job(team, run_after=Now(), error="of the last attempt", done_bytes=7)
    claim = queue.claim(job.pk, node.pk, 42)
    assert claim is not None and claim.attempt == 1
    job.refresh_from_db()
    assert (job.token, job.owner_id, job.owner_pid) == (claim.token, node.pk, 42)
    assert timedelta(seconds=85) < job.lease_until - timezone.now() <= timedelta(seconds=91)
    assert (job.error, job.done_bytes) == ("", 0)
    attempt = job.attempts.get()
    assert (attempt.number, attempt.token, attempt.pid) == (1, claim.token, 42)


def test_a_draining_node_gets_no_job(team: Team) -> None:
    job = make_job(team, run_after=Now())
    assert queue.claim(job.pk, make_node(is_draining=True).pk, 1) is None
    assert queue.claim(job.pk, uuid.uuid4(), 1) is None


def test_only_one_job_of_a_target_can_be_running(team: Team) -> None:
    make_job(team, state="running", lock_key="shop")
    make_job(team, state="running", lock_key="")
    make_job(team, state="running", lock_key="")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_job(team, state="running", lock_key="shop")


def test_draining_gives_the_attempt_back_and_a_retry_does_not(team: Team) -> None:
    drained = make_job(team, state="running", token=TOKEN, attempt=1, max_attempts=3)
    retried = make_job(team, state="running", token=TOKEN, attempt=1, max_attempts=3)
    queue.requeue(as_claim(drained))
    queue.retry(as_claim(retried), End(JobState.FAILED, "Code", "no", "try later"))
    drained.refresh_from_db()
    retried.refresh_from_db()
    assert (drained.attempt, retried.attempt) == (0, 1)
    assert drained.run_after <= timezone.now()
    assert retried.run_after - timezone.now() > timedelta(seconds=20)
    assert (retried.error, retried.hint) == ("no", "try later"), "shown while it waits"
    assert retried.token is None and retried.owner is None


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 30), (2, 60), (3, 120), (7, 1800), (5000, 1800)]
)
def test_each_attempt_waits_twice_as_long_give_or_take_a_fifth(attempt: int, seconds: int) -> None:
    chance = random.Random(1)
    waits = [
        back_off(attempt, base_seconds=30, most_seconds=1800, chance=chance).total_seconds()
        for _ in range(200)
    ]
    assert 0.8 * seconds <= min(waits) < 0.85 * seconds
    assert 1.15 * seconds < max(waits) <= 1.2 * seconds


def test_only_jobs_whose_lease_ran_out_are_reaped(team: Team) -> None:
    lively = make_job(team, state="running", lease_until=Now() + MINUTE)
    dead = make_job(team, state="running", lease_until=Now() - MINUTE, attempt=1, max_attempts=2)
    last = make_job(team, state="running", lease_until=Now() - MINUTE, attempt=1)
    assert tick.reap() == 2
    states = dict(Job.objects.values_list("pk", "state"))
    assert states == {lively.pk: "running", dead.pk: "queued", last.pk: "interrupted"}


def test_an_owner_that_beats_in_time_is_not_reaped(team: Team) -> None:
    job = make_job(team, state="running", token=TOKEN, lease_until=Now() - MINUTE)
    assert queue.heartbeat(as_claim(job), JobReport())
    assert tick.reap() == 0


def test_the_reaper_waits_for_owners_after_an_outage(team: Team) -> None:
    make_job(team, state="running", lease_until=Now() - MINUTE)
    ticker = tick.Ticker("nowhere")
    assert ticker.tick() and ticker.tick()
    assert Job.objects.get().state == JobState.RUNNING


def test_a_dead_owner_is_seen_only_from_its_own_place(team: Team) -> None:
    gone = 2**22 + 1
    node = make_node(place="there")
    make_job(team, state="running", owner=node, owner_pid=gone, attempt=1, max_attempts=2)
    assert tick.reap_dead_owners("here") == 0
    assert tick.reap_dead_owners("there") == 1
    assert Job.objects.get().state == JobState.QUEUED


def test_an_unknown_kind_is_refused_at_once(team: Team) -> None:
    with pytest.raises(ValueError, match="teapot"):
        queue.enqueue("teapot", team=team, title="", argument={})


def test_as_many_notifications_are_sent_as_jobs_may_start(team: Team) -> None:
    for _ in range(9):
        make_job(team, run_after=Now())
    dispatch.notify()
    dispatch.notify()
    assert OrmQ.objects.count() == 4, "the limit for all, and no more the second time"
    assert OrmQ.objects.first().task["func"] == "covetbackup.jobs.supervisor.run"
    assert {one.key for one in OrmQ.objects.all()} == {"jobs"}


def test_a_lost_notification_is_sent_again(team: Team) -> None:
    job = make_job(team, run_after=Now())
    dispatch.notify()
    OrmQ.objects.all().delete()
    dispatch.notify()
    assert OrmQ.objects.count() == 0, "it may still be under way"
    Job.objects.filter(pk=job.pk).update(dispatched_at=Now() - MINUTE)
    dispatch.notify()
    assert OrmQ.objects.count() == 1


def test_a_queue_without_workers_keeps_no_other_queue_waiting(team: Team) -> None:
    for _ in range(5):
        make_job(team, run_after=Now() - MINUTE, queue="far")
    job = make_job(team, run_after=Now())
    assert dispatch.runnable("jobs") == [job.pk]


def test_a_waiting_job_knows_its_place_and_what_it_waits_for(team: Team) -> None:
    make_node()
    make_job(team, state="running", server_slot="s")
    make_job(team, state="running", server_slot="s")
    free, full, later = (
        make_job(team, run_after=Now()),
        make_job(team, run_after=Now(), server_slot="s"),
        make_job(team, run_after=Now() + MINUTE),
    )
    assert dispatch.queue_position(free) == dispatch.QueuePosition(1, "a free worker")
    assert dispatch.queue_position(full) == dispatch.QueuePosition(
        2, "its server, which takes at most 2 at once"
    )
    assert dispatch.queue_position(later) == dispatch.QueuePosition(
        None, "another job to finish first"
    )


def test_a_job_that_started_meanwhile_has_no_place(team: Team, node: Node) -> None:
    make_node()
    job = make_job(team, run_after=Now(), lock_key="db")
    stale = Job.objects.get(pk=job.pk)
    assert queue.claim(job.pk, node.instance, 1)
    assert dispatch.queue_position(stale) is None
    Job.objects.update(state="queued", token=None, attempt=1, run_after=Now() + MINUTE)
    waiting = dispatch.queue_position(Job.objects.get())
    assert waiting is not None and waiting.is_retry


def test_a_line_said_a_while_ago_is_written_with_its_time(team: Team, node: Node) -> None:
    make_node()
    claim = queue.claim(make_job(team, run_after=Now()).pk, node.instance, 1)
    assert claim is not None
    report = JobReport(events=[("phase", "a"), ("phase", "b"), ("note", "c")], ages=[5.0, 2.0])
    assert queue.heartbeat(claim, report)
    a, b, c = JobEvent.objects.order_by("id").values_list("at", flat=True)
    assert 2.9 < (b - a).total_seconds() < 3.5 and 1.9 < (c - b).total_seconds() < 2.5


@pytest.fixture
def called(settings_with: Callable[..., None]) -> list[int]:
    settings_with(JOB_HOOKS={"backup": "tests.web.jobs.test_queue.hook"})
    CALLED.clear()
    return CALLED


CALLED: list[int] = []


def hook(job: Job) -> None:
    CALLED.append(job.pk)
    if job.title == "the storage is away":
        raise OSError("no route to the storage")


@pytest.fixture
def settings_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def override(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setattr(settings, name, value)

    return override


def test_a_hook_is_called_once_for_an_ended_job(team: Team, called: list[int]) -> None:
    job = make_job(team, state="running", token=TOKEN)
    queue.finish(as_claim(job), End(JobState.FAILED, "Code", "no"))
    hooks.run_completion_hook(job.pk)
    hooks.run_completion_hook(job.pk)
    hooks.run_due_hooks()
    assert called == [job.pk]


def test_a_hook_that_fails_is_called_again_later(team: Team, called: list[int]) -> None:
    job = make_job(team, state="running", token=TOKEN, title="the storage is away")
    queue.finish(as_claim(job), End(JobState.FAILED, "Code", "no"))
    hooks.run_due_hooks()
    hooks.run_due_hooks()
    assert called == [job.pk], "not at once"
    Job.objects.filter(pk=job.pk).update(hook_due_at=F("hook_due_at") - 3 * MINUTE, title="back")
    hooks.run_due_hooks()
    hooks.run_due_hooks()
    assert called == [job.pk, job.pk]


def test_a_job_that_will_be_repeated_calls_no_hook(team: Team, called: list[int]) -> None:
    job = make_job(team, state="running", token=TOKEN, attempt=1, max_attempts=2)
    queue.interrupt(as_claim(job), "it died")
    hooks.run_due_hooks()
    assert called == []


def test_cancelling_names_who_did_it(team: Team, operator: User) -> None:
    job = make_job(team, state="running", token=TOKEN)
    assert queue.request_cancel(job, operator)
    assert queue.request_cancel(job, None), "asking twice is fine"
    job.refresh_from_db()
    assert job.cancel_requested_by == operator
