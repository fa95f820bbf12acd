"""The pages of the catalog answer, in few queries, whatever things are called."""

from __future__ import annotations

import html
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups.models import Backup, Database
from covetbackup.access.models import Team, User
from tests.web.conftest import ClientOf
from tests.web.factories import (
    make_backup_row,
    make_database,
    make_job,
    make_repository_row,
    make_server,
)

NASTY = '"><svg onload=alert(1)>\'{{7*7}}{% now "Y" %}\u202egnp.exe\x1b[31m&lt;'
LISTS = ("servers", "databases", "backups", "repositories", "keys")
FORMS = ("server-add", "repository-add")
MOST_QUERIES = 20


@pytest.mark.parametrize("name", [*LISTS, *FORMS])
def test_an_empty_catalog_has_pages(name: str, client_of: ClientOf, owner: User) -> None:
    assert client_of(owner).get(reverse(name)).status_code == 200


def test_every_page_costs_few_queries_and_no_more_for_more_rows(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    client = client_of(owner)
    few = costs(client, crowd(team, 2))
    many = costs(client, crowd(team, 9))
    assert 0 < min(few.values()) <= max(few.values()) <= MOST_QUERIES
    assert few == many


def test_names_from_elsewhere_are_inert_on_every_page(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    client = client_of(owner)
    for name, address in crowd(team, 2).items():
        text = client.get(address).content.decode()
        assert "<svg onload" not in text, name
        assert "{{7*7}}" in text or name == "keys", name


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_nothing_of_other_teams(
    name: str, client_of: ClientOf, stranger: User, team: Team
) -> None:
    crowd(team, 1)
    assert "svg onload" not in client_of(stranger).get(reverse(name)).content.decode()


def test_a_list_of_backups_is_turned_page_by_page_and_misses_none(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    database = make_database(make_server(team))
    made = {str(make_backup_row(database).pk) for _ in range(120)}
    client, seen, address = client_of(viewer), [], reverse("backups")
    while address:
        text = client.get(address).content.decode()
        seen += re.findall(r'href="/backups/([0-9a-f-]{36})/"', text)
        turn = re.search(r'href="([^"]+)" rel="next"', text)
        address = reverse("backups") + html.unescape(turn[1]) if turn else ""
    assert len(seen) == len(made)
    assert set(seen) == made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"good", "bad", "other"}),
        ("q=shop", {"good", "bad"}),
        ("state=failed", {"bad"}),
        ("state=restorable", {"good", "other"}),
        ("since=2100-01-01", set()),
        ("until=2000-01-01", set()),
        ("since=nonsense&database=x&cursor=zzz", {"good", "bad", "other"}),
        ("q=%00%F0%9F%92%A9", set()),
    ],
)
def test_backups_are_filtered(
    query: str, expected: set[str], client_of: ClientOf, viewer: User, team: Team
) -> None:
    server = make_server(team)
    shop, crm = make_database(server, name="shop"), make_database(server, name="crm")
    rows = {
        "good": make_backup_row(shop),
        "bad": make_backup_row(shop, state="failed"),
        "other": make_backup_row(crm),
    }
    text = client_of(viewer).get(f"{reverse('backups')}?{query}").content.decode()
    assert {
        name for name, row in rows.items() if reverse("backup", args=[row.pk]) in text
    } == expected


def test_databases_are_filtered_by_state_server_and_name(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    server = make_server(team)
    make_database(server, name="plain")
    make_database(server, name="fresh", is_new=True)
    make_database(server, name="left-out", is_included=False)
    make_database(make_server(team), name="dropped", state="gone")
    cases = {
        "": {"plain", "fresh"},
        "state=new": {"fresh"},
        "state=excluded": {"left-out"},
        "state=gone": {"dropped"},
        "state=all": {"plain", "fresh", "left-out", "dropped"},
        f"state=all&server={server.pk}": {"plain", "fresh", "left-out"},
        "q=LAI": {"plain"},
        "state=rubbish": {"plain", "fresh"},
    }
    client = client_of(viewer)
    for query, expected in cases.items():
        text = client.get(f"{reverse('databases')}?{query}").content.decode()
        names = set(re.findall(r'href="/databases/\d+/"><bdi>([\w-]+)</bdi>', text))
        assert names == expected, query


def test_what_a_role_may_not_do_is_shown_with_the_reason(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    addresses = crowd(team, 1)
    client = client_of(viewer)
    for name in ("servers", "server", "database", "backup", "repository", "repositories"):
        text = client.get(addresses[name]).content.decode()
        assert "Your role may not do this" in text, name
        forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', text)
        assert forms == [reverse("sign-out")], name


def test_a_backup_says_what_it_holds_and_finds_a_table(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    tables = [{"schema": "shop", "name": f"t{n}", "rows": n, "exact": True} for n in range(300)]
    backup = make_backup_row(make_database(make_server(team)), inventory={"tables": tables})
    address = reverse("backup", args=[backup.pk])
    client = client_of(viewer)
    assert "Showing 200 of 300 tables" in client.get(address).content.decode()
    found = client.get(f"{address}?table=T299").content.decode()
    assert "shop.t299" in found and "shop.t298" not in found


def test_a_failed_backup_shows_its_error_and_the_log_of_its_job(
    client_of: ClientOf, viewer: User, team: Team
) -> None:
    job = make_job(team)
    job.events.create(at=job.run_after, kind="error", text="disk \x1b[31mfull <b>")
    backup = make_backup_row(
        make_database(make_server(team)), job=job, state="failed", error="no room", hint="make some"
    )
    text = client_of(viewer).get(reverse("backup", args=[backup.pk])).content.decode()
    assert "No room" in text and "Make some" in text
    assert "disk full &lt;b&gt;" in text


@pytest.mark.parametrize("state", ["cancelled", "interrupted"])
def test_a_backup_that_did_not_fail_is_not_said_to_have_failed(
    state: str, client_of: ClientOf, viewer: User, team: Team
) -> None:
    backup = make_backup_row(make_database(make_server(team)), state=state, label="")
    pages = {
        "backup": reverse("backup", args=[backup.pk]),
        "backups": f"{reverse('backups')}?state={state}",
        "database": reverse("database", args=[backup.database_id]),
    }
    for name, address in pages.items():
        text = client_of(viewer).get(address).content.decode()
        assert state.capitalize() in text, name
        assert " Failed</span>" not in text and " failed</h1>" not in text, name


def crowd(team: Team, count: int) -> dict[str, str]:
    """Rows with nasty names; the address of the page of one of each, and of the lists."""
    suffix = f"{Database.objects.count()}"
    repository = make_repository_row(team, name=NASTY + suffix, problem=NASTY)
    server = make_server(team, name=NASTY + suffix, problem=NASTY)
    for number in range(count):
        database = make_database(server, name=f"{NASTY}{number}", is_new=True)
        backup = nasty_backup(database, repository)
    pages = {"server": server, "repository": repository, "database": database, "backup": backup}
    addresses = {name: reverse(name, args=[row.pk]) for name, row in pages.items()}
    addresses["backup-delete"] = reverse("backup-delete", args=[backup.pk])
    addresses["server-edit"] = reverse("server-edit", args=[server.pk])
    return addresses | {name: reverse(name) for name in LISTS}


def nasty_backup(database: Database, repository: object) -> Backup:
    return make_backup_row(
        database,
        repository=repository,
        note=NASTY,
        tags=[NASTY],
        warnings=[NASTY],
        verify_problem=NASTY,
        inventory={"tables": [{"schema": "a", "name": NASTY, "rows": 3, "exact": False}]},
        phases=[{"name": NASTY, "seconds": 1.5, "bytes": 10}],
        state="degraded",
    )


def costs(client: Client, addresses: dict[str, str]) -> dict[str, int]:
    found = {}
    for name, address in addresses.items():
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200, name
        found[name] = len(queries)
    return found
