"""What lists say above their rows: the newest that is good, and what they did not apply."""

from __future__ import annotations

import pytest
from django.urls import reverse

from backups.models import Backup
from covetbackup.access.models import Team, User
from covetbackup.jobs.models import JobState
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_repository_row,
    make_restore,
    make_server,
)


def heading(page: str) -> str:
    return (
        page.partition("<h1>")[2].partition("</h1>")[0].replace("<bdi>", "").replace("</bdi>", "")
    )


def test_the_newest_backup_that_is_named_can_be_restored(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    server = make_server(team)
    client, address = client_of(viewer), reverse("backups")
    for state in ("cancelled", "failed", "pending", "removed"):
        make_backup_row(make_database(server, name=state), state=state)
    assert heading(client.get(address).content.decode()) == "No restorable backup yet"
    good = make_backup_row(make_database(server, name="shop"))
    Backup.objects.filter(pk=good.pk).update(created_at="2026-01-01T00:00Z")
    assert "Latest restorable backup: shop" in heading(client.get(address).content.decode())


def test_the_newest_restore_that_is_named_succeeded(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    server = make_server(team)
    backup, address = make_backup_row(make_database(server)), reverse("restores")
    client = client_of(viewer)
    failed = make_job(team, kind="restore", state=JobState.FAILED)
    make_restore(backup, server, database="broken", job=failed)
    assert heading(client.get(address).content.decode()) == "No restore has succeeded yet"
    done = make_job(team, kind="restore", state=JobState.SUCCEEDED)
    make_restore(backup, server, database="whole", job=done)
    assert "whole" in heading(client.get(address).content.decode())


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/backups/?from=2026-13-77", ["from=2026-13-77"]),
        ("/backups/?since=2026-13-77&state=rubbish", ["since=2026-13-77", "state=rubbish"]),
        ("/backups/?order=best&server=x", ["order=best", "server=x"]),
        ("/databases/?state=rubbish&owner=me", ["state=rubbish", "owner=me"]),
        ("/jobs/?state=rubbish&kind=backup", ["state=rubbish", "kind=backup"]),
        ("/audit/?since=yesterday&who=me", ["since=yesterday", "who=me"]),
        ("/restores/?state=failed", ["state=failed"]),
        ("/servers/?q=main", ["q=main"]),
        ("/repositories/?q=main", ["q=main"]),
    ],
)
def test_a_filter_that_is_not_applied_is_named(
    client_of: ClientOf, admin: User, address: str, told: list[str]
) -> None:
    page = client_of(admin).get(address).content.decode()
    found = [part.partition("</code>")[0] for part in page.split("<code>")[1:] if "=" in part[:30]]
    assert "Not applied" in page and found[: len(told)] == told


@pytest.mark.parametrize(
    "address",
    [
        "/backups/?q=shop&state=failed&since=2026-01-31&cursor=zzz&order=largest&tag=x&pinned=1",
        "/databases/?state=all&q=&server=",
        "/jobs/?state=active",
        "/audit/?outcome=done",
        "/restores/?cursor=zzz",
    ],
)
def test_nothing_is_said_of_filters_that_are_applied(
    client_of: ClientOf, admin: User, address: str
) -> None:
    assert "Not applied" not in client_of(admin).get(address).content.decode()


def test_one_database_is_one_and_stored_says_of_what(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    database = make_database(make_server(team))
    make_backup_row(database, repository=make_repository_row(team))
    client = client_of(viewer)
    for name in ("overview", "databases"):
        assert "Last backup, stored" in client.get(reverse(name)).content.decode()
    page = client.get(reverse("database", args=[database.pk])).content.decode()
    assert "Stored, all backups" in page


def test_a_backup_and_its_job_tell_the_same_duration(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    job = make_job(team, state="succeeded", attempt=1)
    times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:07Z"}
    type(job).objects.filter(pk=job.pk).update(**times)
    backup = make_backup_row(make_database(make_server(team)), job=job)
    client = client_of(viewer)
    for address in (reverse("backup", args=[backup.pk]), reverse("job", args=[job.pk])):
        assert "7.0 s" in client.get(address).content.decode(), address
