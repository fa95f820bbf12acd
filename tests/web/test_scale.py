"""Pages stay cheap with 500 databases and 200 000 backups: queries are counted, times printed."""

from __future__ import annotations

import time
from statistics import median

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups.models import Backup, Database, Server
from covetbackup.access.models import Team, User
from covetbackup.jobs.models import Job
from tests.web.conftest import ClientOf
from tests.web.fleet import make_fleet

MOST_QUERIES = 20
ROUNDS = 5


def addresses() -> dict[str, str]:
    backup = Backup.objects.order_by("-created_at")[1000]
    return {
        "overview": reverse("overview"),
        "servers": reverse("servers"),
        "server": reverse("server", args=[Server.objects.first().pk]),
        "databases": reverse("databases"),
        "database": reverse("database", args=[Database.objects.first().pk]),
        "backups": reverse("backups"),
        "backups, failed": reverse("backups") + "?state=failed",
        "backups, searched": reverse("backups") + "?q=shop0007",
        "backup": reverse("backup", args=[backup.pk]),
        "restores": reverse("restores"),
        "jobs": reverse("jobs"),
        "repositories": reverse("repositories"),
        "repository": reverse("repository", args=[backup.copies.get().repository_id]),
        "keys": reverse("keys"),
        "team": reverse("team"),
        "audit": reverse("audit"),
    }


def measured(client: Client, address: str) -> tuple[int, float]:
    """Queries of one request, and the median of its server time in milliseconds."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200, address
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        client.get(address)
        times.append(1000 * (time.perf_counter() - begun))
    return len(queries), median(times)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_page_is_cheap_with_200_000_backups(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    make_fleet(team, databases=500, backups_each=400)
    connection.cursor().execute("ANALYZE")
    client = client_of(owner)

    figures = {name: measured(client, address) for name, address in addresses().items()}

    job = Job.objects.first()
    poll = reverse("job-live", args=[job.pk]) + f"?v={job.version}"
    assert client.get(poll).status_code == 204
    begun = time.perf_counter()
    for _ in range(100):
        client.get(poll)
    print(f"\n{'poll without news':24} {10 * (time.perf_counter() - begun):8.1f} ms")
    for name, (queries, milliseconds) in figures.items():
        print(f"{name:24} {milliseconds:8.1f} ms {queries:4d} queries")
    assert {name: count for name, (count, _) in figures.items() if count > MOST_QUERIES} == {}


def test_a_list_asks_as_many_questions_for_many_rows_as_for_few(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    client = client_of(owner)
    make_fleet(team, databases=3, backups_each=2)
    pages = ["overview", "servers", "databases", "backups", "jobs", "repositories"]
    few = {name: measured(client, reverse(name))[0] for name in pages}

    make_fleet_again(team)

    assert {name: measured(client, reverse(name))[0] for name in pages} == few


def make_fleet_again(team: Team) -> None:
    team.repositories.update(is_default=False)
    make_fleet(team, databases=30, backups_each=4)
