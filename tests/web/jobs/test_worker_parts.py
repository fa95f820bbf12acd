"""Small parts of the jobs app, each by itself: slots, channel, buffer, a page's figures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from covetbackup.core.errors import Cancelled
from covetbackup.jobs import progress_stats
from covetbackup.jobs.concurrency import Decision, SlotUse, admit
from covetbackup.jobs.models import Job, JobEvent
from covetbackup.jobs.work import Reporter
from covetbackup.jobs.worker import progress_buffer as board_module
from covetbackup.jobs.worker.ipc import Channel
from covetbackup.jobs.worker.progress_buffer import MOST_EVENTS, ProgressBuffer

LIMITS = {"all": 3, "server": 2, "repository": 2}
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("running", "waiting", "may_start"),
    [
        ([], [SlotUse(1), SlotUse(2), SlotUse(3), SlotUse(4)], [1, 2, 3]),
        ([SlotUse(9)] * 3, [SlotUse(1)], []),
        ([], [SlotUse(1, "s"), SlotUse(2, "s"), SlotUse(3, "s"), SlotUse(4, "t")], [1, 2, 4]),
        ([SlotUse(9, "s")], [SlotUse(1, "s"), SlotUse(2, "s"), SlotUse(3)], [1, 3]),
        ([], [SlotUse(1, "", "r"), SlotUse(2, "", "r"), SlotUse(3, "", "r")], [1, 2]),
        ([], [SlotUse(1, "", "", "db"), SlotUse(2, "", "", "db"), SlotUse(3)], [1, 3]),
        ([SlotUse(9, "", "", "db")], [SlotUse(1, "", "", "db")], []),
    ],
    ids=["all", "full", "server", "server in use", "repository", "target", "target in use"],
)
def test_jobs_start_that_have_free_slots(
    running: list[SlotUse], waiting: list[SlotUse], may_start: list[int]
) -> None:
    decisions = admit(waiting, running, LIMITS)
    assert [decision.job_id for decision in decisions] == [slots.job_id for slots in waiting]
    assert [decision.job_id for decision in decisions if not decision.blocked_by] == may_start


def test_a_job_is_told_which_other_works_on_its_target() -> None:
    (decision,) = admit([SlotUse(2, lock_key="db")], [SlotUse(1, lock_key="db")], LIMITS)
    assert decision.blocked_by == "job 1, which works on the same target"


def test_a_job_that_has_just_started_does_not_wait_for_itself() -> None:
    started = SlotUse(1, "s", "r", "db")
    assert admit([started, SlotUse(2)], [started], LIMITS) == [Decision(2)]


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = socket.socketpair()
    with one, other:
        yield Channel(one), Channel(other)


def test_a_message_arrives_whole_however_it_was_cut(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    text = "x" * 200_000
    sender = threading.Thread(target=lambda: theirs.send(note=text))
    sender.start()
    heard: list[dict[str, str]] = []
    while not heard:
        heard = ours.receive(1)
    sender.join()
    assert heard == [{"note": text}]


def test_the_end_of_the_other_side_is_heard(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.send(end="succeeded")
    theirs.close()
    assert ours.receive(1) == [{"end": "succeeded"}] and ours.is_open
    assert ours.receive(1) == [] and not ours.is_open
    ours.send(ping=True)


def test_noise_on_the_line_is_passed_over() -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b'{"no\n\xff\n[1]\n{"done": 1}\n')
        assert Channel(one).receive(1) == [{"done": 1}]


def test_a_reporter_raises_once_it_was_asked_to_stop(ends: tuple[Channel, Channel]) -> None:
    stop = threading.Event()
    reporter = Reporter(ends[0], stop)
    reporter.phase("dumping", 100)
    reporter.advance(10)
    stop.set()
    with pytest.raises(Cancelled):
        reporter.advance(10)
    assert ends[1].receive(1) == [{"phase": "dumping", "total": 100}, {"done": 10}]


def test_a_board_reports_what_is_new_and_then_nothing() -> None:
    buffer = ProgressBuffer()
    assert not buffer.has_news
    buffer.take({"phase": "dumping", "total": 100})
    buffer.take({"done": 40})
    buffer.take({"note": "halfway"})
    report = buffer.report()
    assert report.columns["phase"] == "dumping" and report.columns["done_bytes"] == 40
    assert report.events == [("phase", "dumping"), ("note", "halfway")]
    buffer.written()
    assert not buffer.has_news


def test_a_report_that_was_not_written_is_reported_again() -> None:
    buffer = ProgressBuffer()
    buffer.take({"note": "kept"})
    buffer.report()
    assert buffer.report().events == [("note", "kept")]


def test_a_chatty_attempt_does_not_fill_the_catalog() -> None:
    buffer = ProgressBuffer()
    for number in range(MOST_EVENTS + 500):
        buffer.take({"note": str(number)})
    events = buffer.report().events
    assert len(events) == MOST_EVENTS and "not kept" in events[-1][1]


def job(**fields: object) -> Job:
    defaults = {"state": "running", "attempt": 1, "started_at": NOW - timedelta(minutes=5)}
    return Job(**(defaults | fields))


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"done_bytes": 50, "total_bytes": 100, "rate": 5}, timedelta(seconds=10)),
        ({"done_bytes": 50, "total_bytes": None, "rate": 5}, None),
        ({"done_bytes": 50, "total_bytes": 100, "rate": 0}, None),
        ({"done_bytes": 120, "total_bytes": 100, "rate": 5}, timedelta(0)),
        ({"done_bytes": 5, "total_bytes": 100, "rate": 5, "started_at": NOW}, None),
        ({"done_bytes": 50, "total_bytes": 100, "rate": 5, "state": "failed"}, None),
    ],
)
def test_time_left_is_told_only_when_it_is_known(
    fields: dict[str, object], left: timedelta | None
) -> None:
    assert progress_stats.time_left(job(**fields), NOW) == left


def test_phases_are_those_of_the_current_attempt() -> None:
    events = [
        JobEvent(attempt=1, kind="phase", text="old", at=NOW - timedelta(seconds=90)),
        JobEvent(attempt=2, kind="phase", text="dump", at=NOW - timedelta(seconds=60)),
        JobEvent(attempt=2, kind="note", text="hello", at=NOW - timedelta(seconds=50)),
        JobEvent(attempt=2, kind="phase", text="commit", at=NOW - timedelta(seconds=20)),
    ]
    assert progress_stats.phases_of(job(attempt=2), events, NOW) == [
        progress_stats.Phase("dump", timedelta(seconds=40), "succeeded"),
        progress_stats.Phase("commit", timedelta(seconds=20), "running"),
    ]


def test_the_phases_that_found_damage_failed_and_not_the_one_after_them() -> None:
    names = ("looking for objects", "reading a", "reading b")
    events = [JobEvent(attempt=1, kind="phase", text=name, at=NOW) for name in names]
    events.insert(2, JobEvent(attempt=1, kind="note", text="damaged: a: SHA-256 differs", at=NOW))

    def states(state: str) -> list[str]:
        return [phase.state for phase in progress_stats.phases_of(job(state=state), events, NOW)]

    assert states("failed") == ["succeeded", "failed", "succeeded"]
    assert states("running") == ["succeeded", "failed", "running"]
    assert states("cancelled") == ["succeeded", "failed", "cancelled"]
    del events[2]
    assert states("failed") == ["succeeded", "succeeded", "failed"]


def test_a_line_of_the_log_has_the_time_when_it_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=10.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(board_module, "time", clock)
    buffer = ProgressBuffer()
    buffer.take({"phase": "dumping"})
    clock.now = 10.25
    buffer.take({"phase": "publishing"})
    clock.now = 11.0
    assert buffer.report().events == [("phase", "dumping"), ("phase", "publishing")]
    assert buffer.report().ages == [1.0, 0.75]


@pytest.mark.parametrize(
    ("fields", "pace"),
    [
        ({"state": "queued", "created_at": NOW}, "1s"),
        ({"state": "queued", "created_at": NOW - timedelta(hours=1)}, "10s"),
        ({"state": "running"}, "1s"),
        ({"state": "running", "started_at": NOW - timedelta(hours=1)}, "3s"),
        ({"state": "succeeded"}, ""),
    ],
)
def test_pages_ask_more_rarely_the_longer_it_takes(fields: dict[str, object], pace: str) -> None:
    assert progress_stats.pace_of(job(**fields), NOW) == pace
