"""The pages of jobs: what they show, what they cost, and that they stop asking."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.audit.models import AuditEntry
from covetbackup.jobs.models import Job, JobEvent
from tests.web.conftest import signed_in
from tests.web.factories import make_job, make_team

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


def add_event(job: Job, text: str, kind: str = "note") -> JobEvent:
    return JobEvent.objects.create(job=job, at=Now(), kind=kind, text=text)


def test_the_list_says_what_runs_and_what_waits(team: Team, viewer: User) -> None:
    make_job(team, state="running", phase="dumping tables")
    make_job(team, run_after=Now())
    make_job(team, state="failed", error="no route to host")
    page = signed_in(viewer).get("/jobs/").content.decode()
    assert "1 job running, 1 waiting" in page
    assert "dumping tables" in page and "no route to host" in page
    assert "waits for a worker for the queue jobs: none is running" in page
    assert "No worker is running" in page


def test_the_list_shows_only_own_teams(team: Team, other_team: Team, viewer: User) -> None:
    make_job(other_team, title="a secret backup", state="running")
    page = signed_in(viewer).get("/jobs/").content.decode()
    assert "a secret backup" not in page and "Nothing is running" in page


def test_pages_of_the_list_follow_each_other(team: Team, viewer: User) -> None:
    jobs = [make_job(team, title=f"number {n}", state="succeeded") for n in range(120)]
    client = signed_in(viewer)
    seen, url = [], "/jobs/?state=succeeded"
    while url:
        page = client.get(url).content.decode()
        seen.append([int(pk) for pk in re.findall(r'href="/jobs/(\d+)/"', page)])
        url = link(page, "next")
    assert [len(numbers) for numbers in seen] == [50, 50, 20]
    assert sum(seen, []) == [job.pk for job in reversed(jobs)]
    newer = client.get(link(page, "prev")).content.decode()
    assert [int(pk) for pk in re.findall(r'href="/jobs/(\d+)/"', newer)] == seen[1]


def link(page: str, rel: str) -> str:
    found = re.search(rf'href="([^"]*)" rel="{rel}"', page)
    return "/jobs/" + found[1].replace("&amp;", "&") if found else ""


def test_the_list_of_a_member_of_several_teams_has_the_jobs_of_each(
    team: Team, other_team: Team, viewer: User
) -> None:
    Membership.objects.create(team=other_team, user=viewer, role=Role.VIEWER)
    for owner in (team, other_team, make_team()):
        make_job(owner, title=f"of {owner}", run_after=Now())
    page = signed_in(viewer).get("/jobs/").content.decode()
    assert re.findall(r">(of [^<]*)<", page) == [f"of {other_team}", f"of {team}"]


@pytest.mark.parametrize("query", ["cursor=x", "state=%00", "cursor=" + "9" * 600])
def test_nonsense_in_the_address_shows_the_list(viewer: User, query: str) -> None:
    assert signed_in(viewer).get(f"/jobs/?{query}").status_code == 200


def test_a_long_list_costs_few_questions(team: Team, viewer: User) -> None:
    for _ in range(60):
        make_job(team, run_after=Now(), requested_by=viewer)
    client = signed_in(viewer)
    with CaptureQueriesContext(connection) as asked:
        client.get("/jobs/")
    assert len(asked) <= 15


def test_a_running_job_shows_progress_and_polls(team: Team, viewer: User) -> None:
    job = make_job(
        team, state="running", phase="dumping", done_bytes=2**20, total_bytes=2**22, rate=2**18,
        attempt=1, version=7,
    )  # fmt: skip
    add_event(job, "dumping", "phase")
    page = signed_in(viewer).get(f"/jobs/{job.pk}/").content.decode()
    assert f'hx-get="/jobs/{job.pk}/live?v=7"' in page and 'hx-trigger="every 1s"' in page
    assert 'value="25"' in page and "256 KiB/s" in page and "12 s left" in page
    assert 'http-equiv="refresh"' in page, "without JavaScript the page reloads itself"


def test_a_poll_without_news_is_empty_and_cheap(team: Team, viewer: User) -> None:
    job = make_job(team, state="running", version=7)
    client = signed_in(viewer)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(f"/jobs/{job.pk}/live?v=7").status_code == 204
    assert len(asked) <= 5
    assert client.get(f"/jobs/{job.pk}/live?v=6").status_code == 200


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "interrupted"])
def test_an_ended_job_is_shown_anew_and_polls_no_more(team: Team, viewer: User, state: str) -> None:
    job = make_job(team, state=state, version=9)
    client = signed_in(viewer)
    last = client.get(f"/jobs/{job.pk}/live?v=9")
    assert last.status_code == 200 and last["HX-Refresh"] == "true"
    for page in (last, client.get(f"/jobs/{job.pk}/")):
        assert "hx-trigger" not in page.content.decode()


def test_the_log_is_sent_line_by_line_once(team: Team, viewer: User) -> None:
    job = make_job(team, state="running")
    first = add_event(job, "first line")
    second = add_event(job, "second line")
    client = signed_in(viewer)
    more = client.get(f"/jobs/{job.pk}/log?from={first.pk}").content.decode()
    assert "second line" in more and "first line" not in more
    assert f"log?from={second.pk}" in more
    assert client.get(f"/jobs/{job.pk}/log?from={second.pk}").status_code == 204
    Job.objects.filter(pk=job.pk).update(state="succeeded")
    assert "hx-get" not in client.get(f"/jobs/{job.pk}/log?from={second.pk}").content.decode()


def test_the_whole_log_is_a_download(team: Team, viewer: User) -> None:
    job = make_job(team, state="succeeded")
    for number in range(300):
        add_event(job, f"line {number}")
    client = signed_in(viewer)
    assert "line 99\n" not in client.get(f"/jobs/{job.pk}/").content.decode()
    whole = client.get(f"/jobs/{job.pk}/log")
    assert whole["Content-Disposition"].startswith("attachment")
    assert whole.content.decode().count("\n") == 300


def test_hostile_text_is_only_text(team: Team, viewer: User) -> None:
    job = make_job(team, state="failed", title=HOSTILE, error=HOSTILE, details=HOSTILE)
    add_event(job, HOSTILE)
    client = signed_in(viewer)
    for url in ("/jobs/", f"/jobs/{job.pk}/", f"/jobs/{job.pk}/log?from=0"):
        assert "<script>alert" not in client.get(url).content.decode()


def test_cancelling_is_recorded_and_said(team: Team, operator: User) -> None:
    job = make_job(team, state="running")
    answer = signed_in(operator).post(f"/jobs/{job.pk}/cancel", follow=True)
    job.refresh_from_db()
    assert job.cancel_requested_by == operator
    assert "Cancelling (requested by otto)" in answer.content.decode()
    assert AuditEntry.objects.filter(action="job.cancel", object_id=str(job.pk)).count() == 1


def test_cancelling_asks_first_and_says_what_is_lost(team: Team, operator: User) -> None:
    client = signed_in(operator)
    running = make_job(team, state="running", title="Back up shop", phase="dumping data")
    waiting = make_job(team, title="Back up till")
    page = client.get(f"/jobs/{running.pk}/").content.decode()
    assert f'href="/jobs/{running.pk}/cancel"' in page and "Cancel job…" in page
    asked = client.get(f"/jobs/{running.pk}/cancel").content.decode()
    assert "Cancel “Back up shop”?" in asked and "dumping data" in asked
    assert "What it made so far is removed; what it deleted stays deleted." in asked
    assert "not started yet" in client.get(f"/jobs/{waiting.pk}/cancel").content.decode()
    running.refresh_from_db()
    assert running.cancel_requested_at is None


def test_a_viewer_sees_why_he_may_not_cancel(team: Team, viewer: User) -> None:
    job = make_job(team, state="running")
    page = signed_in(viewer).get(f"/jobs/{job.pk}/").content.decode()
    assert "operator or higher" in page and f"/jobs/{job.pk}/cancel" not in page


def test_cancelling_an_ended_job_changes_nothing(team: Team, operator: User) -> None:
    job = make_job(team, state="succeeded")
    answer = signed_in(operator).post(f"/jobs/{job.pk}/cancel", follow=True)
    job.refresh_from_db()
    assert job.state == "succeeded" and "had ended already" in answer.content.decode()


def run(*words: Any, **options: Any) -> str:
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


def test_the_commands_list_and_cancel(team: Team) -> None:
    job = make_job(team, title="shop to shelf", run_after=Now())
    assert "shop to shelf" in run("jobs", state="active")
    listed = json.loads(run("jobs", json=True))["jobs"]
    assert [(one["id"], one["state"], one["position"]) for one in listed] == [(job.pk, "queued", 1)]
    assert json.loads(run("cancel", job.pk, json=True))["state"] == "cancelled"
    assert AuditEntry.objects.get(action="job.cancel").via == "command"
    with pytest.raises(CommandError, match="ended already"):
        run("cancel", job.pk)
    with pytest.raises(CommandError, match="no job"):
        run("cancel", job.pk + 1)
    assert run("jobs", state="running").strip() == "no jobs"
