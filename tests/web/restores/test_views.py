"""The way through the pages: choose, check, confirm once, see the result; and who may not."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups.models import Backup, Database, Hold
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.audit.models import AuditEntry
from covetbackup.core.errors import AccessRefused, Conflict
from covetbackup.jobs.models import Job
from restores.models import Restore
from tests.web.catalog import sqlite_server
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_repository_row,
    make_restore,
    make_server,
)
from tests.web.restores_helper import actor, asked, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
NASTY = "\"><svg onload=alert(1)>'{{7*7}}\u202egnp.exe"


@pytest.fixture
def backup(repository: Any, shop: Database) -> Backup:
    return taken(shop)


def answers(backup: Backup, name: str = "copy.db", **more: Any) -> dict[str, Any]:
    copy = backup.copies.get()
    server = backup.database.server_id
    return {"server": server, "name": name, "repository": copy.repository_id, **more}


def text_of(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def check(client: Client, backup: Backup, **given: Any) -> HttpResponse:
    return client.get(reverse("restore-check", args=[backup.pk]), given)


def confirm(client: Client, backup: Backup, **given: Any) -> HttpResponse:
    return client.post(reverse("restore-check", args=[backup.pk]), given)


def test_the_whole_way_by_plain_links_and_forms(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    client = client_of(operator)
    start = client.get(reverse("restore-start", args=[backup.pk]))
    assert f'value="shop_{backup.consistent_at:%Y%m%d_%H%M}.db"' in text_of(start)
    page = check(client, backup, **answers(backup))
    assert page.status_code == 200
    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text_of(page)))
    asked_for = client.post(reverse("restore-check", args=[backup.pk]), sent)
    restore = Restore.objects.get()
    assert asked_for.headers["Location"] == reverse("restore", args=[restore.pk])
    assert "Restoring shop.db as copy.db" in text_of(client.get(asked_for.headers["Location"]))
    run(restore)
    result = text_of(client.get(asked_for.headers["Location"]))
    assert "1 table with 500 rows, all as in the backup" in result
    assert f"sqlite3 {Path(backup.database.server.folder) / 'copy.db'}" in result


def test_the_row_the_job_the_hold_and_the_audit_entry_come_together(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    confirm(client_of(operator), backup, **answers(backup))
    restore = Restore.objects.get()
    assert restore.requested_by == operator and restore.job.requested_by == operator
    assert restore.job.argument["restore"] == str(restore.pk)
    assert restore.job.max_attempts == 1
    assert Hold.objects.get().job == restore.job
    assert AuditEntry.objects.get(action="restore.request").user == operator
    assert {row["title"] for row in restore.preflight} >= {"Objects", "Key", "Name"}


def test_a_form_sent_twice_asks_for_one_restore(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    given = answers(backup, restore=str(uuid.uuid4()))
    first = confirm(client_of(operator), backup, **given)
    second = confirm(client_of(operator), backup, **given)
    assert first.headers["Location"] == second.headers["Location"]
    assert Restore.objects.count() == Job.objects.filter(kind="restore").count() == 1


def test_the_id_of_another_restore_is_not_taken_over(operator: User, backup: Backup) -> None:
    first = asked(plan_for(backup, "one.db"), operator)
    with pytest.raises(Conflict, match="used for another restore"):
        asked(plan_for(backup, "two.db"), operator, pk=first.pk)


def test_two_restores_to_one_name_are_not_asked_for(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    confirm(client_of(operator), backup, **answers(backup))
    assert confirm(client_of(operator), backup, **answers(backup)).status_code == 422
    assert Restore.objects.count() == 1


def test_a_failing_check_disables_the_button_and_the_server_behind_it(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    taken_name = answers(backup, "shop.db")
    page = text_of(check(client_of(operator), backup, **taken_name))
    assert "is blocked" in page and "disabled" in page
    refused = confirm(client_of(operator), backup, **taken_name)
    assert refused.status_code == 422
    assert not Restore.objects.exists()


@pytest.mark.parametrize("change", [{"name": "../out.db"}, {"name": ""}, {"server": "0"}])
def test_a_mistake_is_told_at_its_field(
    change: dict[str, str], client_of: ClientOf, operator: User, backup: Backup
) -> None:
    response = check(client_of(operator), backup, **(answers(backup) | change))
    assert response.status_code == 422
    assert 'class="errors"' in text_of(response)


def test_a_backup_that_failed_says_so_instead_of_asking(
    client_of: ClientOf, operator: User, shop: Database
) -> None:
    failed = make_backup_row(shop, state="failed", error="the disk was full")
    page = text_of(client_of(operator).get(reverse("restore-start", args=[failed.pk])))
    assert "cannot be restored" in page and "The disk was full" in page
    assert "Run checks" not in page


def test_another_team_s_server_needs_the_right_to_take_data_out(
    backup: Backup, operator: User, other_team: Team, tmp_path: Path
) -> None:
    Membership.objects.create(team=other_team, user=operator, role=Role.OPERATOR)
    abroad = sqlite_server(other_team, tmp_path / "abroad")
    plan = plan_for(backup, server=abroad)
    with pytest.raises(AccessRefused):
        asked(plan, User.objects.get(pk=operator.pk))
    Membership.objects.filter(user=operator, team=abroad.team).update(role=Role.VIEWER)
    own = backup.database.server.team
    Membership.objects.filter(user=operator, team=own).update(role=Role.ADMIN)
    with pytest.raises(AccessRefused):
        asked(plan, User.objects.get(pk=operator.pk))
    Membership.objects.filter(user=operator, team=abroad.team).update(role=Role.OPERATOR)
    assert asked(plan, User.objects.get(pk=operator.pk)).job.team == other_team


def test_servers_where_one_may_not_restore_are_not_offered(
    client_of: ClientOf, operator: User, backup: Backup, other_team: Team, tmp_path: Path
) -> None:
    foreign = sqlite_server(other_team, tmp_path / "foreign", name="Far away")
    make_server(backup.database.server.team, name="Of another kind")
    page = text_of(client_of(operator).get(reverse("restore-start", args=[backup.pk])))
    assert "Far away" not in page and "Of another kind" not in page
    given = answers(backup) | {"server": foreign.pk}
    assert confirm(client_of(operator), backup, **given).status_code == 422


def test_the_page_of_a_failed_restore_says_what_is_left(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    restore = asked(plan_for(backup), operator)
    folder = Path(backup.database.server.folder)
    (folder / "copy.db").touch()
    with pytest.raises(Exception, match="already exists"):
        run(restore)
    page = text_of(client_of(operator).get(reverse("restore", args=[restore.pk])))
    assert "copy.db was not restored" in page
    assert "unchanged. Nothing remains on the target server." in page
    assert "Restore again…" in page


def test_the_page_waits_for_the_end_to_be_recorded(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    restore = asked(plan_for(backup), operator)
    Job.objects.filter(pk=restore.job_id).update(state="interrupted")
    client = client_of(operator)
    waiting = text_of(client.get(reverse("restore", args=[restore.pk])))
    assert 'http-equiv="refresh"' in waiting
    assert f'hx-get="{reverse("restore-result", args=[restore.pk])}"' in waiting
    restore.result = {"state": "failed", "kept": "nothing", "swept": [], "problem": ""}
    restore.save()
    fragment = text_of(client.get(reverse("restore-result", args=[restore.pk])))
    assert "hx-get" not in fragment and fragment.startswith("<section")


def test_pages_cost_few_queries_whatever_there_is(
    client_of: ClientOf, operator: User, team: Team
) -> None:
    client = client_of(operator)
    costs = [cost_of_pages(client, team, count) for count in (2, 9)]
    assert costs[0] == costs[1]
    assert max(costs[0].values()) <= 20


def cost_of_pages(client: Client, team: Team, count: int) -> dict[str, int]:
    for _ in range(count):
        server = make_server(team)
        row = make_backup_row(make_database(server), repository=make_repository_row(team))
        restore = make_restore(row, server, job=make_job(team, kind="restore"))
    pages = {
        "list": reverse("restores"),
        "start": reverse("restore-start", args=[row.pk]),
        "restore": reverse("restore", args=[restore.pk]),
    }
    costs = {}
    for name, address in pages.items():
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        costs[name] = len(queries)
    return costs


def test_names_from_elsewhere_are_inert(client_of: ClientOf, operator: User, team: Team) -> None:
    server = make_server(team, name=NASTY[:100])
    row = make_backup_row(make_database(server, name=NASTY), repository=make_repository_row(team))
    restore = make_restore(row, server, database=NASTY, job=make_job(team, title=NASTY))
    Job.objects.filter(pk=restore.job_id).update(state="failed", error=NASTY, details=NASTY)
    client = client_of(operator)
    for address in (
        reverse("restores"),
        reverse("restore-start", args=[row.pk]),
        reverse("restore", args=[restore.pk]),
    ):
        text = text_of(client.get(address))
        assert "<svg onload" not in text and "{{7*7}}" in text, address


def test_an_empty_list_leads_to_the_backups(client_of: ClientOf, viewer: User) -> None:
    page = text_of(client_of(viewer).get(reverse("restores")))
    assert "Nothing has been restored yet" in page


def test_the_system_may_restore_whatever_it_is_told(backup: Backup) -> None:
    restore = asked(plan_for(backup))
    assert restore.requested_by is None and actor(None).user is None
    run(restore)
