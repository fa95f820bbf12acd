"""Pages stay cheap however large the catalog: queries are counted, plans are looked at.

How long they take is shown by `make bench`.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups.listing import ORDERS, BackupFilter, backups_of
from covetbackup.access.models import Team, User
from covetbackup.access.roles import Permission
from covetbackup.audit import listing as audit
from covetbackup.jobs import listing as jobs
from tests.web.addresses import addresses
from tests.web.conftest import ClientOf
from tests.web.large_catalog import make_fleet

MOST_QUERIES = 20


@pytest.fixture
def administrator(owner: User) -> User:
    """Of the team and of the installation: sees the admin site too."""
    owner.is_staff = owner.is_superuser = True
    owner.save(update_fields=["is_staff", "is_superuser"])
    return owner


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code in (200, 204), address
    return len(queries)


@pytest.mark.parametrize(
    ("databases", "backups_each"),
    [
        (25, 10),
        pytest.param(500, 400, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_no_page_asks_more_than_twenty_questions(
    client_of: ClientOf, administrator: User, team: Team, databases: int, backups_each: int
) -> None:
    make_fleet(team, databases=databases, backups_each=backups_each)
    client = client_of(administrator)

    counts = {name: queries_of(client, at) for name, at in addresses(administrator).items()}

    assert len(counts) > 100
    assert {name: count for name, count in counts.items() if count > MOST_QUERIES} == {}


def test_a_list_asks_as_many_questions_for_many_rows_as_for_few(
    client_of: ClientOf, administrator: User, team: Team
) -> None:
    client = client_of(administrator)
    make_fleet(team, databases=3, backups_each=2)
    pages = [
        *("overview", "servers", "databases", "backups", "restores", "jobs", "audit"),
        *("repositories", "keys", "team", "admin:backups_backup_changelist"),
        *("admin:backups_database_changelist", "admin:audit_auditentry_changelist"),
    ]
    few = {name: queries_of(client, reverse(name)) for name in pages}

    team.repositories.update(is_default=False)
    make_fleet(team, databases=30, backups_each=4)

    assert {name: queries_of(client, reverse(name)) for name in pages} == few


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is told in SQLite's words")
@pytest.mark.parametrize(
    "chosen",
    [
        *({"order": order} for order in ORDERS),
        {"state": "restorable"},
        {"state": "failed"},
        {"q": "shop"},
        {"q": "shop server", "order": "largest"},
    ],
)
def test_backups_are_listed_along_an_index_alone(
    administrator: User, team: Team, chosen: dict[str, str]
) -> None:
    make_fleet(team, databases=25, backups_each=1)
    plan = plan_of(backups_of(administrator, BackupFilter.of(chosen)))
    assert "USING COVERING INDEX" in plan and "B-TREE" not in plan, plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is told in SQLite's words")
def test_jobs_and_audit_entries_are_never_sorted(administrator: User, team: Team) -> None:
    entries = audit.entries_seen_by(administrator, Permission.VIEW_AUDIT)
    rows = jobs.jobs_of(administrator, jobs.JobFilter())
    for plan in (plan_of(entries.order_by(*audit.ORDER)), plan_of(rows.order_by(*jobs.ORDER))):
        assert "B-TREE" not in plan and "MULTI-INDEX" not in plan, plan


def plan_of(rows: QuerySet[object]) -> str:
    """How the ids of a page are found."""
    return rows.values_list("pk", flat=True)[:51].explain()
