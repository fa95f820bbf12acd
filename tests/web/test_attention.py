"""What leads the overview, and what jobs learn about servers on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from backups import tasks
from backups.discovery import discover
from backups.models import Backup, Database, Repository, Server
from backups.services import request_backup
from covetbackup.access.models import Team, User
from covetbackup.attention import concerns_of
from covetbackup.core.errors import DatabaseUnavailable
from covetbackup.jobs.models import Job, JobState
from tests.support.postgres import PostgresServer
from tests.web.catalog import FakeWork, make_file, postgres_at, sqlite_server
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_restore,
    make_server,
    make_worker,
)

pytest_plugins = ["tests.web.catalog_fixtures"]


def told(user: User) -> list[str]:
    return [f"{one.subject} {one.text}".strip() for one in concerns_of(user, timezone.now())]


def backed_up(database: Database, repository: Repository) -> Backup:
    backup = request_backup(database, user=None, repositories=[repository])
    tasks.run_backup(FakeWork(Job.objects.get(pk=backup.job_id)))
    return backup


def test_dead_workers_lead_the_overview_until_one_is_heard_of(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    make_backup_row(make_database(make_server(team)))
    make_worker(heartbeat_at=timezone.now() - timedelta(minutes=3))
    page = client_of(viewer).get(reverse("overview")).content.decode()
    assert "No worker serves the queue" in page and "1 problem" in page
    make_worker()
    assert told(viewer) == []


def test_a_queue_of_another_team_without_worker_is_not_told(
    viewer: User, stranger: User, team: Team
) -> None:
    make_worker()
    make_server(team, queue="far")
    assert told(viewer) == ["No worker serves the queue 'far': its jobs do not start"]
    assert told(stranger) == []


def test_servers_without_connection_come_before_servers_with_other_problems(
    viewer: User, stranger: User, team: Team
) -> None:
    make_worker()
    make_server(team, name="a", problem="rights are missing")
    make_server(team, name="b", problem="connection refused", is_unreachable=True)
    assert told(viewer) == [
        "b cannot be reached: connection refused",
        "a needs attention: rights are missing",
    ]
    assert told(stranger) == []


def test_a_failed_restore_is_told_until_the_same_target_is_restored(
    viewer: User, team: Team
) -> None:
    make_worker()
    server = make_server(team)
    backup = make_backup_row(make_database(server))

    def restored(state: JobState) -> None:
        job = make_job(team, kind="restore", state=state, error="no room")
        make_restore(backup, server, database="copy", job=job)

    restored(JobState.SUCCEEDED)
    assert told(viewer) == []
    restored(JobState.FAILED)
    assert ["copy was not restored" in text and "no room" in text for text in told(viewer)] == [
        True
    ]
    restored(JobState.SUCCEEDED)
    assert told(viewer) == []


def test_a_backup_that_cannot_connect_marks_its_server_and_the_next_good_one_clears_it(
    client_of: ClientOf, viewer: User, team: Team, repository: Repository, shop: Database
) -> None:
    make_worker()
    down = make_server(team, host="127.0.0.1", port=1, checked_at=timezone.now())
    with pytest.raises(DatabaseUnavailable):
        backed_up(make_database(down), repository)
    down.refresh_from_db()
    assert down.is_unreachable and "nothing listens" in down.problem
    assert "Connection failed" in client_of(viewer).get(reverse("servers")).content.decode()
    assert any("cannot be reached" in text for text in told(viewer))
    Server.objects.filter(pk=shop.server_id).update(problem="gone", is_unreachable=True)
    backed_up(shop, repository)
    shop.server.refresh_from_db()
    assert (shop.server.problem, shop.server.is_unreachable) == ("", False)
    assert shop.server.checked_at is not None


def test_one_dropped_database_does_not_make_its_server_unreachable(
    team: Team, repository: Repository, postgres_server: PostgresServer
) -> None:
    server = postgres_at(team, postgres_server)
    with pytest.raises(DatabaseUnavailable):
        backed_up(make_database(server, name="dropped"), repository)
    server.refresh_from_db()
    assert (server.problem, server.is_unreachable) == ("", False)


def test_an_excluded_database_stays_excluded_whatever_is_discovered(
    client_of: ClientOf, admin: User, operator: User, team: Team, tmp_path: object
) -> None:
    server = sqlite_server(team, tmp_path / "data")  # type: ignore[operator]
    make_file(tmp_path / "data" / "shop.db")  # type: ignore[operator]
    discover(server)
    shop = server.databases.get()
    address = reverse("database-inclusion", args=[shop.pk])
    assert client_of(operator).post(address, {"inclusion": "excluded"}).status_code == 403
    client = client_of(admin)
    page = client.post(address, {"inclusion": "excluded"}, follow=True).content.decode()
    assert "shop.db is excluded from backups" in page and "Include in backups" in page

    discover(server)
    shop.refresh_from_db()
    assert not shop.is_included

    client.post(address, {"inclusion": "included"})
    client.post(address, {"inclusion": "nonsense"})
    shop.refresh_from_db()
    assert shop.is_included


def test_what_the_admin_site_excludes_stays_excluded(
    client_of: ClientOf, owner: User, team: Team, tmp_path: object
) -> None:
    owner.is_staff = owner.is_superuser = True
    owner.save(update_fields=["is_staff", "is_superuser"])
    server = sqlite_server(team, tmp_path / "data")  # type: ignore[operator]
    make_file(tmp_path / "data" / "shop.db")  # type: ignore[operator]
    discover(server)
    shop = server.databases.get()
    address = reverse("admin:backups_database_change", args=[shop.pk])
    answer = client_of(owner).post(address, {"inclusion": "excluded", "tags": "[]"})
    assert answer.status_code == 302
    discover(server)
    shop.refresh_from_db()
    assert not shop.is_included
