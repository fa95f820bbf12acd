"""The overview: failing first, the week in bars, what runs, and what is still to be set up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from backups.models import Backup
from covetbackup.access.models import Team, User
from covetbackup.first_steps import first_steps
from covetbackup.history_chart import charts_of
from covetbackup.jobs.models import Job, JobState
from covetbackup.overview import judge_fleet
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_repository_row,
    make_restore,
    make_server,
    make_worker,
)

NOON = datetime(2026, 10, 25, 12, 0, tzinfo=UTC)


def backup_at(database: object, at: datetime, state: str = "available") -> Backup:
    row = make_backup_row(database, state=state, consistent_at=at)  # type: ignore[arg-type]
    Backup.objects.filter(pk=row.pk).update(created_at=at)
    return row


def test_the_title_counts_what_needs_attention(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    server = make_server(team)
    for name in ("lost", "shop"):
        make_database(server, name=name)
    make_backup_row(make_database(server, name="fine"))
    make_worker()
    page = client_of(viewer).get(reverse("overview")).content.decode()
    assert "<title>2 problems · CovetBackup</title>" in page
    assert "1 of 3 databases are recoverable" in page
    assert page.index(">lost<") < page.index(">shop<") < page.index(">fine<")


def test_one_problem_is_one(viewer: User, team: Team) -> None:
    make_worker()
    make_database(make_server(team))
    assert judge_fleet(viewer, timezone.now()).title == "1 problem"


def test_each_day_of_the_week_has_a_bar_and_words(team: Team) -> None:
    database = make_database(make_server(team))
    backup_at(database, NOON)
    backup_at(database, NOON - timedelta(days=1), "failed")
    for state in ("failed", "degraded", "failed"):
        backup_at(database, NOON - timedelta(days=3), state)
    backup_at(database, NOON - timedelta(days=4), "interrupted")
    backup_at(database, NOON - timedelta(days=5), "removed")
    backup_at(database, NOON - timedelta(days=6), "cancelled")
    backup_at(database, NOON - timedelta(days=9))
    week = charts_of([database.pk], NOON)[database.pk]
    states = [bar.state for bar in week.bars]
    assert states == ["none", "none", "failed", "good", "none", "failed", "good"]
    assert week.summary == "Last 7 days: a good backup on 2, failed on 2"
    assert week.bars[-1].title == "Sun 25 Oct: a good backup"


@pytest.mark.parametrize(
    ("zone", "day"), [("UTC", 5), ("Asia/Kathmandu", 6), ("Europe/Berlin", 6), ("America/Lima", 5)]
)
def test_days_are_those_of_the_visitor_even_when_clocks_change(
    team: Team, zone: str, day: int
) -> None:
    """23:30 in UTC on the evening before clocks go back in Berlin."""
    database = make_database(make_server(team))
    backup_at(database, datetime(2026, 10, 24, 23, 30, tzinfo=UTC))
    with timezone.override(zone):
        bars = charts_of([database.pk], NOON)[database.pk].bars
    assert [bar.state for bar in bars].index("good") == day


def test_what_runs_is_followed_only_while_something_runs(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    client = client_of(viewer)
    assert "data-poll" not in client.get(reverse("overview")).content.decode()
    job = make_job(team, state=JobState.RUNNING, title="Back up shop", total_bytes=200)
    Job.objects.update(done_bytes=50)
    page = client.get(reverse("overview")).content.decode()
    assert 'value="25"' in page and "data-poll" in page
    seen = {"v": f"{job.pk}-0", "jobs": str(job.pk)}
    live = reverse("overview-live")
    assert client.get(live, seen).status_code == 204
    Job.objects.update(version=1)
    moved = client.get(live, seen)
    assert moved.status_code == 200 and "HX-Refresh" not in moved
    Job.objects.update(state=JobState.SUCCEEDED)
    ended = client.get(live, seen)
    assert ended["HX-Refresh"] == "true" and "data-poll" not in ended.content.decode()


def test_first_steps_are_ticked_one_by_one_and_then_leave(
    viewer: User, stranger: User, team: Team, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECOVERY_KEY_FILE", tmp_path / "gone")  # type: ignore[operator]

    def open_steps(user: User = viewer) -> int:
        return sum(not step.is_done for step in first_steps(user))

    assert open_steps() == 4
    make_repository_row(team)
    server = make_server(team)
    assert open_steps() == 2
    backup = make_backup_row(make_database(server))
    assert open_steps() == 1
    make_restore(backup, server, job=make_job(team, kind="restore", state=JobState.SUCCEEDED))
    assert first_steps(viewer) == []
    assert open_steps(stranger) == 4


def test_more_databases_than_a_page_holds_are_counted_and_the_worst_shown(
    viewer: User, team: Team
) -> None:
    server = make_server(team)
    for _ in range(55):
        make_backup_row(make_database(server))
    make_database(server, name="worst")
    verdict = judge_fleet(viewer, timezone.now())
    assert (len(verdict.rows), verdict.hidden, verdict.rows[0].name) == (50, 6, "worst")
