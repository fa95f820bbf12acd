"""Choosing schemas and tables: the list, what stays chosen, who may, and how large it gets."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from backups.models import Backup
from covetbackup.access.models import Team, User
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting, Conflict
from restores import selection_text
from restores.preflight import preflight
from restores.result import Summary
from restores.selection_options import MOST_SELECTED, items_of
from tests.web.conftest import ClientOf
from tests.web.factories import make_backup_row, make_database, make_repository_row, make_server
from tests.web.restores_helper import asked, plan_for

HOSTILE = "<script>alert(1)</script>\n'\","


def inventory(count: int, *names: str) -> dict[str, Any]:
    tables = [TableFacts("archive", name, 3, True) for name in names]
    tables += [TableFacts("public", f"{'t' * 50}_{n:05}", n, True) for n in range(count)]
    return Inventory(tables=tuple(tables)).to_json()


@pytest.fixture
def backup(team: Team) -> Backup:
    """A row with 2 001 tables in two schemas, one of them with a hostile name."""
    server = make_server(team, host="127.0.0.1", port=1)
    contents = inventory(2000, HOSTILE)
    repository = make_repository_row(team)
    return make_backup_row(make_database(server), repository=repository, inventory=contents)


def choose(backup: Backup) -> str:
    return reverse("restore-select", args=[backup.pk])


def key_of(backup: Backup, name: str) -> str:
    return next(item.key for item in items_of(backup).values() if item.name.endswith(name))


def ticks(response: HttpResponse) -> dict[str, bool]:
    """The boxes of the page, and whether they are ticked."""
    boxes = re.findall(r'name="pick" value="(\w+)"( checked)?', response.content.decode())
    return {key: bool(checked) for key, checked in boxes}


def text_of(response: HttpResponse) -> str:
    return unescape(" ".join(response.content.decode().split()))


def test_who_may_restore_may_choose(
    client_of: ClientOf, operator: User, viewer: User, stranger: User, backup: Backup
) -> None:
    people = (operator, viewer, stranger)
    answers = [client_of(person).get(choose(backup)).status_code for person in people]
    assert answers == [200, 403, 404]


def test_thousands_of_tables_make_no_large_page(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    selected = list(items_of(backup))[5 : 5 + MOST_SELECTED]
    client = client_of(operator)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(choose(backup), {"pick": selected})
    assert len(page.content) <= 150_000
    assert len(queries) <= 15
    assert sum(ticks(page).values()) == MOST_SELECTED
    assert len(page.request["QUERY_STRING"]) < 4_000


def test_the_search_keeps_what_is_chosen(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    chosen = key_of(backup, "_00007")
    page = client_of(operator).get(choose(backup), {"pick": chosen, "find": "_01234"})
    assert ticks(page) == {chosen: True, key_of(backup, "_01234"): False}


def test_all_pages_together_show_everything_once(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    client = client_of(operator)
    pages = [ticks(client.get(choose(backup), {"page": number})) for number in range(1, 22)]
    seen = [key for page in pages for key in page]
    assert sorted(seen) == sorted(items_of(backup))
    for odd in ("0", "999999", "x", "-1", "٣"):
        assert client.get(choose(backup), {"page": odd}).status_code == 200


def test_names_are_text_wherever_they_are_shown(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    given = {"what": "some", "pick": key_of(backup, HOSTILE), "find": HOSTILE}
    for name in ("restore-select", "restore-start"):
        page = client_of(operator).get(reverse(name, args=[backup.pk]), given).content.decode()
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_what_was_typed_before_comes_along(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    given = {"name": "mine", "jobs": "3", "what": "structure", "pick": key_of(backup, "_00001")}
    page = text_of(client_of(operator).get(choose(backup), given))
    assert '<input type="hidden" name="name" value="mine">' in page
    start = text_of(client_of(operator).get(reverse("restore-start", args=[backup.pk]), given))
    assert 'value="mine"' in start and 'name="pick" value="' in start
    assert "Structure without rows of" in start and "--schema-only" in start
    assert "A selection cannot replace a whole database" in start
    assert "Replace a database…" not in start and "Replace an existing database" not in start


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"what": "some"}, "Nothing is selected"),
        ({"what": "structure"}, "Nothing is selected"),
        ({"what": "some", "pick": ["t0", "t99999"]}, "does not hold everything"),
        ({"what": "some", "pick": [f"t{n}" for n in range(MOST_SELECTED + 1)]}, "More than"),
        ({"what": "half", "pick": ["t0"]}, "half"),
    ],
)
def test_a_choice_of_nothing_or_of_what_is_not_there_is_refused(
    given: dict[str, Any], said: str, client_of: ClientOf, operator: User, backup: Backup
) -> None:
    where = {"server": backup.database.server_id, "name": "x", "owner": "keep", "jobs": "1"}
    where["repository"] = backup.copies.get().repository_id
    address = reverse("restore-check", args=[backup.pk])
    page = client_of(operator).get(address, where | given)
    assert page.status_code == 422
    assert said in text_of(page)


def test_a_selection_replaces_nothing(backup: Backup) -> None:
    plan = plan_for(backup, "x", selection=Selection(("public.a",)), replace=True)
    with pytest.raises(BadSetting, match="never take the place"):
        asked(plan)
    [check] = preflight(plan)
    assert (check.level, check.title) == (Level.FAIL, "Options")


def test_kinds_that_are_restored_whole_offer_no_choice(
    client_of: ClientOf, operator: User, team: Team, tmp_path: Any
) -> None:
    server = make_server(team, folder=str(tmp_path))
    row = make_backup_row(
        make_database(server), repository=make_repository_row(team), inventory=inventory(3)
    )
    client = client_of(operator)
    assert "Select schemas" not in text_of(client.get(reverse("restore-start", args=[row.pk])))
    assert "restored whole" in text_of(client.get(choose(row)))
    with pytest.raises(BadSetting, match="restored whole"):
        asked(plan_for(row, "x.db", selection=Selection(("t",))))


def test_a_form_sent_again_with_another_selection_is_not_the_same(backup: Backup) -> None:
    first = asked(plan_for(backup, "x", selection=Selection(("public.a",))))
    again = plan_for(backup, "x", selection=Selection(("public.a",)))
    assert asked(again, pk=first.pk) == first
    with pytest.raises(Conflict, match="another restore"):
        asked(plan_for(backup, "x"), pk=first.pk)


@pytest.mark.parametrize(
    ("with_data", "sentence"),
    [
        (True, "1 of 2,000 tables with 7 rows, all as in the backup"),
        (False, "the structure of 1 of 2,000 tables, as in the backup"),
    ],
)
def test_the_result_says_what_of_what(with_data: bool, sentence: str) -> None:
    tables = tuple(TableFacts("s", f"t{n}", n, True) for n in range(2000))
    there = (TableFacts("s", "t7", 7 if with_data else 0, True),)
    selection = Selection(("s.t7",), with_data=with_data)
    summary = Summary.of(Inventory(tables), Inventory(there), selection=selection)
    assert summary.sentence == sentence


def test_of_rows_alone_those_count_that_the_backup_had_only_estimated() -> None:
    whole = Inventory((TableFacts("s", "large", 5_000, False), TableFacts("s", "t", 1, True)))
    took = Inventory((TableFacts("s", "large", 4_321, True),))
    selection = Selection(("s.large",), with_structure=False)
    summary = Summary.of(whole, took, selection=selection)
    assert summary.sentence == "4,321 rows for 1 of 2 tables, all of the backup"
    assert summary.uncounted == 1


@pytest.mark.parametrize(
    ("part", "option", "words"),
    [
        ({}, [], ""),
        ({"with_data": False}, ["--schema-only"], ", structure only"),
        ({"with_structure": False}, ["--data-only"], ", data only"),
    ],
)
def test_a_selection_is_told_as_options_and_in_words(
    part: dict[str, bool], option: list[str], words: str
) -> None:
    selection = Selection(("a.b",), ("c",), **part)
    assert selection_text.options_of(selection) == ["--schema=c", "--table=a.b", *option]
    assert selection_text.text_of(selection) == f"schema c, a.b{words}"
