"""The pages that add what is chosen to a database that is there."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from backups.models import Backup, Database
from covetbackup.access.decorators import AUTHENTICATED_AT
from covetbackup.access.models import Team, User
from covetbackup.core.databases.inventory import Inventory, TableFacts
from restores.models import Restore
from restores.selection_options import items_of, sizes_of
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import contents
from tests.web.catalog import postgres_at
from tests.web.conftest import ClientOf
from tests.web.factories import make_backup_row, make_database, make_repository_row, make_server
from tests.web.restores_helper import run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
TABLES = (TableFacts("public", "a", 1, True), TableFacts("public", "b", 2, True))


@pytest.fixture
def source(team: Team, postgres_tidy: PostgresServer, postgres_database: str) -> Database:
    postgres_tidy.execute(
        postgres_database,
        "CREATE TABLE item AS SELECT generate_series(1, 30) AS id",
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.till AS SELECT 1 AS id",
    )
    return make_database(postgres_at(team, postgres_tidy), name=postgres_database)


@pytest.fixture
def backup(repository: Any, source: Database) -> Backup:
    return taken(source)


def row_of(team: Team, **fields: Any) -> Backup:
    """A backup that only the catalog knows, of a server where nothing listens."""
    server = make_server(team, host="127.0.0.1", port=1, **fields)
    inventory = Inventory(tables=TABLES).to_json()
    repository = make_repository_row(team)
    return make_backup_row(make_database(server), repository=repository, inventory=inventory)


def text_of(response: HttpResponse) -> str:
    return unescape(" ".join(response.content.decode().split()))


def keys(backup: Backup, *names: str) -> list[str]:
    return [key for key, item in items_of(backup).items() if item.name in names]


def hidden(page: HttpResponse) -> dict[str, list[str]]:
    """What the last form of the page sends, but what is typed into it."""
    text = page.content.decode()
    form = text[text.rindex("<form") :]
    sent: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form):
        sent.setdefault(name, []).append(unescape(value))
    return sent


def answers(backup: Backup, **more: Any) -> dict[str, Any]:
    where = {"server": backup.database.server_id, "into": backup.database.name}
    return {**where, "repository": backup.copies.get().repository_id, **more}


def check(client: Client, backup: Backup, **more: Any) -> HttpResponse:
    url = reverse("restore-into-existing-check", args=[backup.pk])
    return client.get(url, answers(backup, **more))


def test_rows_are_added_by_plain_links_and_forms(
    client_of: ClientOf, admin: User, backup: Backup, postgres_tidy: PostgresServer
) -> None:
    client, name = client_of(admin), backup.database.name
    before = contents(postgres_tidy, name)
    postgres_tidy.execute(name, "TRUNCATE item")
    selected = {"what": "data", "pick": keys(backup, "public.item")}
    chosen = client.get(reverse("restore-select", args=[backup.pk]), selected)
    assert "Data only" in text_of(chosen) and f"/{name}' --confirm {name}" in text_of(chosen)
    start = client.get(reverse("restore-start", args=[backup.pk]), selected, follow=True)
    assert "An existing database; what it holds" in text_of(start)
    assert "Rows, into existing tables" in text_of(start)
    assert "Owners and privileges" not in text_of(start)
    checked = check(client, backup, **selected)
    assert f"--into '{backup.database.server.name}/{name}'" in text_of(checked)
    sent = {**hidden(checked), "typed": name}
    answer = client.post(reverse("restore-into-existing-check", args=[backup.pk]), sent)
    restore = Restore.objects.get()
    assert answer.headers["Location"] == reverse("restore", args=[restore.pk])
    assert (restore.request.into_existing, restore.safety_backup) == (True, None)
    run(restore)
    assert contents(postgres_tidy, name) == before
    result = text_of(client.get(answer.headers["Location"]))
    assert f"Restored into {name}: 30 rows for 1 of 2 tables" in result
    assert "are unchanged, unless a trigger" in result and "Rows added</dt><dd>30<" in result
    assert "Existing data is unchanged" not in result and "Loaded" in result


def test_a_schema_gets_another_name_on_the_page(
    client_of: ClientOf, admin: User, backup: Backup, postgres_tidy: PostgresServer
) -> None:
    client, name = client_of(admin), backup.database.name
    [schema] = keys(backup, "shop")
    selected = {"what": "some", "pick": keys(backup, "shop.till"), "owner": "keep"}
    start = text_of(client.get(reverse("restore-into-existing", args=[backup.pk]), selected))
    assert "Rename schema shop to" in start and "Rename schema public" not in start
    taken_name = check(client, backup, **selected, **{f"as_{schema}": "public"})
    assert "schema 'public' exists as well" in text_of(taken_name).lower()
    checked = check(client, backup, **selected, **{f"as_{schema}": "till's"})
    assert "schema shop as till's" in text_of(checked)
    assert "--rename-schema=shop=till" in text_of(checked)
    sent = {**hidden(checked), "typed": name}
    client.post(reverse("restore-into-existing-check", args=[backup.pk]), sent)
    run(Restore.objects.get())
    assert postgres_tidy.rows(name, """SELECT id FROM "till's".till""") == [(1,)]


def test_a_wrong_name_is_refused(client_of: ClientOf, admin: User, backup: Backup) -> None:
    url = reverse("restore-into-existing-check", args=[backup.pk])
    sent = answers(backup, what="data", pick=keys(backup, "shop.till"), typed="shop")
    assert client_of(admin).post(url, sent).status_code == 422
    assert not Restore.objects.exists()


def test_an_operator_adds_nothing_and_is_told_why(
    client_of: ClientOf, operator: User, team: Team
) -> None:
    client, backup = client_of(operator), row_of(team)
    assert "Data only" not in text_of(client.get(reverse("restore-select", args=[backup.pk])))
    selected = {"what": "some", "pick": keys(backup, "public.a")}
    start = text_of(client.get(reverse("restore-start", args=[backup.pk]), selected))
    assert "Restore into existing database…" in start
    assert "ask a team member who is admin or higher" in start
    assert check(client, backup, **selected).status_code == 403


def test_the_password_must_have_been_typed_a_short_while_ago(
    client_of: ClientOf, admin: User, team: Team
) -> None:
    client, backup = client_of(admin), row_of(team)
    session = client.session
    session[AUTHENTICATED_AT] = 0
    session.save()
    answer = check(client, backup, what="data", pick=keys(backup, "public.a"))
    assert answer.headers["Location"].startswith(reverse("sign-in-again"))


@pytest.mark.parametrize(
    ("kind", "offered"),
    [("postgresql", {"some", "structure", "data"}), ("mysql", {"data"})],
)
def test_a_change_of_mind_offers_what_can_be_added(
    kind: str, offered: set[str], client_of: ClientOf, admin: User, team: Team
) -> None:
    client, backup = client_of(admin), row_of(team, kind=kind)
    selected = {"what": "some", "pick": keys(backup, "public.a"), "into": "shop"}
    page = client.get(reverse("restore-select", args=[backup.pk]), selected).content.decode()
    radios = re.findall(r'type="radio" name="what" value="(\w+)"', page)
    assert set(radios) == offered
    assert f'formaction="{reverse("restore-into-existing", args=[backup.pk])}"' in page


def test_of_everything_no_schema_is_asked_to_come_under_another_name(
    client_of: ClientOf, admin: User, team: Team
) -> None:
    client, backup = client_of(admin), row_of(team)
    selected = {"pick": keys(backup, "public.a")}
    for what, is_asked in (("some", True), ("all", False)):
        page = client.get(reverse("restore-start", args=[backup.pk]), {**selected, "what": what})
        assert ("Rename schema public to" in text_of(page)) is is_asked


def test_everything_at_once_is_added_nowhere(client_of: ClientOf, admin: User, team: Team) -> None:
    client, backup = client_of(admin), row_of(team)
    page = text_of(client.get(reverse("restore-into-existing", args=[backup.pk])))
    assert "Nothing is selected yet" in page
    assert check(client, backup).status_code == 422


def test_kinds_to_which_nothing_can_be_added_offer_it_nowhere(
    client_of: ClientOf, admin: User, team: Team
) -> None:
    server = make_server(team, kind="sqlite", folder="/nowhere")
    backup = make_backup_row(make_database(server), repository=make_repository_row(team))
    page = text_of(client_of(admin).get(reverse("restore-into-existing", args=[backup.pk])))
    assert "This backup cannot be restored into an existing database." in page


@pytest.mark.parametrize(("kind", "is_said"), [("postgresql", False), ("mysql", True)])
def test_help_is_about_the_kind_of_server_at_hand(
    kind: str, is_said: bool, client_of: ClientOf, admin: User, team: Team
) -> None:
    page = client_of(admin).get(reverse("restore-start", args=[row_of(team, kind=kind).pk]))
    text = text_of(page)
    for words in ("definer of views", "Create missing accounts", "Owner account"):
        assert (words in text) is is_said
    for words in ("Create missing roles", "Owner role", "the roles must exist"):
        assert (words in text) is not is_said


def test_a_schema_is_as_large_as_its_tables(team: Team) -> None:
    items = items_of(row_of(team))
    sizes = sizes_of(items, {"public.a": 100, "public.b": 20, "gone.c": 1})
    assert {items[key].name: size for key, size in sizes.items()} == {
        "public": 120,
        "public.a": 100,
        "public.b": 20,
    }
