"""Lists of backups: filters, search, order, pages; and the totals."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backups import search
from backups.listing import ORDERS, BackupFilter, backups_of
from backups.models import Backup, Database
from backups.statistics import statistics
from covetbackup.access.models import Team, User
from covetbackup.paging import page_of
from tests.web.factories import make_backup_row, make_database, make_repository_row, make_server

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(team: Team) -> Database:
    return make_database(make_server(team, name="Main"), name="shop")


def found(user: User, **values: str) -> set[str]:
    rows = backups_of(user, BackupFilter.of(values))
    return {row.note for row in rows}


def test_backups_of_other_teams_are_never_listed(
    database: Database, viewer: User, stranger: User
) -> None:
    make_backup_row(database, note="ours")
    assert found(viewer) == {"ours"} and found(stranger) == set()


def test_each_filter_lets_its_own_through(database: Database, viewer: User, team: Team) -> None:
    other = make_database(make_server(team, name="Second"), name="crm")
    place = make_repository_row(team)
    make_backup_row(database, note="old", created_at=NOW - timedelta(days=9), is_pinned=True)
    make_backup_row(database, note="bad", state="failed", label="", created_at=NOW)
    make_backup_row(other, note="crm", repository=place, created_at=NOW, verified_at=NOW)
    make_backup_row(other, note="tagged", tags=["audit 2026"], created_at=NOW)
    make_backup_row(other, note="gone", state="removed", created_at=NOW)

    assert found(viewer) == {"old", "bad", "crm", "tagged"}
    assert found(viewer, state="failed") == {"bad"}
    assert found(viewer, state="removed") == {"gone"}
    assert found(viewer, state="restorable") == {"old", "crm", "tagged"}
    assert found(viewer, database=str(database.pk)) == {"old", "bad"}
    assert found(viewer, server=str(other.server.pk)) == {"crm", "tagged"}
    assert found(viewer, repository=str(place.pk)) == {"crm"}
    assert found(viewer, since="2026-05-01") == {"bad", "crm", "tagged"}
    assert found(viewer, until="2026-04-30") == {"old"}
    assert found(viewer, since="2026-05-01", until="2026-05-01") == {"bad", "crm", "tagged"}
    assert found(viewer, tag="audit 2026") == {"tagged"} and found(viewer, tag="audit") == set()
    assert found(viewer, pinned="1") == {"old"}
    assert found(viewer, unverified="1") == {"old", "bad", "tagged"}


def test_search_finds_all_words_wherever_they_are(
    database: Database, viewer: User, team: Team
) -> None:
    make_backup_row(database, note="before upgrade")
    make_backup_row(database, note="nightly", tags=["upgrade"])
    make_backup_row(make_database(make_server(team), name="upgrades"), note="other")

    assert found(viewer, q="upgrade") == {"before upgrade", "nightly", "other"}
    assert found(viewer, q="SHOP upgrade") == {"before upgrade", "nightly"}
    assert found(viewer, q="main before") == {"before upgrade"}
    assert found(viewer, q="100%") == found(viewer, q="_____") == set()


def test_search_finds_a_backup_by_its_label_and_by_the_begin_of_its_id(
    database: Database, viewer: User
) -> None:
    pk = "1a5c6e7c-dbf0-4fbf-97ff-cb7dba9b4af5"
    make_backup_row(database, note="this", label="shop-1/20260101T000000Z-1a5c", id=pk)
    make_backup_row(database, note="other", label="shop-1/20260102T000000Z-1a5d")

    for word in ("shop-1/20260101T000000Z-1a5c", pk, pk.upper(), pk[:8], pk[:13]):
        assert found(viewer, q=word) == {"this"}, word
    assert found(viewer, q=pk[:7]) == found(viewer, q=f"{pk}0") == set()


def test_letters_beyond_ascii_are_found_in_names_and_tags(viewer: User, team: Team) -> None:
    database = make_database(make_server(team, name="MÜNCHEN"))
    make_backup_row(database, note="tagged", tags=["Größe"])
    make_backup_row(make_database(make_server(team)), note="other")

    assert found(viewer, q="münchen") == found(viewer, q="Größe") == {"tagged"}
    assert found(viewer, tag="Größe") == {"tagged"}


@pytest.mark.parametrize(("few", "many"), [(0, 500), (20, 1), (0, 1)])
def test_a_search_finds_the_same_whichever_way_it_goes(
    database: Database,
    viewer: User,
    stranger: User,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    many: int,
) -> None:
    monkeypatch.setattr(search, "_FEW", few)
    monkeypatch.setattr(search, "_MANY", many)
    for name in ("till", "safe"):
        other = make_database(database.server, name=name)
        make_backup_row(other, note=f"{name} one", created_at=NOW)
        make_backup_row(other, note=f"{name} two", tags=["till"], created_at=NOW)

    assert found(viewer) == {"till one", "till two", "safe one", "safe two"}
    assert found(viewer, q="till") == {"till one", "till two", "safe two"}
    assert found(viewer, q="safe till") == {"safe two"}
    assert found(viewer, q="nothing") == found(stranger, q="till") == set()


def test_a_repository_that_is_used_no_longer_shows_what_it_has(
    database: Database, viewer: User, team: Team
) -> None:
    old, new = make_repository_row(team), make_repository_row(team)
    for number in range(3):
        moment = NOW + timedelta(days=number)
        place = old if number < 2 else new
        backup = make_backup_row(database, note=f"day {number}", created_at=moment)
        backup.copies.create(repository=place, state="stored", stored_at=moment)
    unfinished = make_backup_row(database, note="now", created_at=NOW + timedelta(days=9))
    unfinished.copies.create(repository=new)

    assert found(viewer, repository=str(old.pk)) == {"day 0", "day 1"}
    assert found(viewer, repository=str(new.pk)) == {"day 2", "now"}
    assert found(viewer, repository=str(make_repository_row(team).pk)) == set()


@pytest.mark.parametrize(
    "values",
    [
        {"state": "x' OR 1=1"},
        {"database": "9" * 40},
        {"database": "-1"},
        {"server": "²"},
        {"since": "2026-13-45"},
        {"until": "yesterday"},
        {"since": "2026-02-30T99:00:00Z"},
        {"order": "note"},
        {"q": "\0" * 5000},
        {"tag": "\0"},
    ],
)
def test_a_hand_edited_link_shows_a_list(
    database: Database, viewer: User, values: dict[str, str]
) -> None:
    make_backup_row(database, note="ours")
    assert found(viewer, **values) == {"ours"}


def test_a_filter_knows_whether_it_leaves_anything_out() -> None:
    assert not BackupFilter.of({"order": "oldest"}).is_narrow
    assert BackupFilter.of({"q": "x"}).is_narrow


def pages(user: User, order: str, size: int) -> Iterator[list[Backup]]:
    cursor = ""
    rows = backups_of(user, BackupFilter(order=order))
    while True:
        page = page_of(rows, ORDERS[order], cursor, size=size)
        yield list(page.rows)
        if not page.later:
            return
        cursor = page.later


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("size", [1, 3, 4, 11, 12, 13])
def test_pages_in_any_order_hold_every_backup_once(
    database: Database, viewer: User, order: str, size: int
) -> None:
    for number in range(12):  # with equal times and sizes among them
        moment = NOW + timedelta(minutes=number // 3)
        make_backup_row(database, created_at=moment, stored_bytes=number // 4)

    listed = [row for page in pages(viewer, order, size) for row in page]

    assert listed == list(backups_of(viewer, BackupFilter(order=order)))
    assert len(set(listed)) == 12


def test_going_back_shows_the_same_pages(database: Database, viewer: User) -> None:
    for number in range(7):
        make_backup_row(database, created_at=NOW + timedelta(minutes=number))
    rows, order = backups_of(viewer, BackupFilter()), ORDERS["newest"]
    first = page_of(rows, order, size=3)
    second = page_of(rows, order, first.later, size=3)
    third = page_of(rows, order, second.later, size=3)

    assert (first.earlier, third.later) == ("", "")
    back = page_of(rows, order, third.earlier, size=3)
    assert back.rows == second.rows
    again = page_of(rows, order, back.earlier, size=3)
    assert (again.rows, again.earlier) == (first.rows, "")


def test_a_backup_taken_meanwhile_moves_no_page(database: Database, viewer: User) -> None:
    for number in range(6):
        make_backup_row(database, created_at=NOW + timedelta(minutes=number))
    rows, order = backups_of(viewer, BackupFilter()), ORDERS["newest"]
    first = page_of(rows, order, size=3)
    expected = page_of(rows, order, first.later, size=3).rows
    make_backup_row(database, created_at=NOW + timedelta(hours=1))
    assert page_of(rows, order, first.later, size=3).rows == expected


@pytest.mark.parametrize(
    "cursor", ["x", "====", "W10", "WyJmIiwgIngiLCAieSJd", "WyJiIiwgIngiLCAieSJd", "é", "A" * 900]
)
def test_a_cursor_that_cannot_be_read_shows_the_first_page(
    database: Database, viewer: User, cursor: str
) -> None:
    make_backup_row(database)
    rows = backups_of(viewer, BackupFilter())
    assert len(page_of(rows, ORDERS["newest"], cursor).rows) == 1


@pytest.mark.parametrize("text", ["\ud800", "\0", '"], [1'])
def test_a_cursor_by_name_that_cannot_be_a_name_shows_the_first_page(
    database: Database, text: str
) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(["f", text, str(1 << 70)]).encode()).decode()
    page = page_of(Database.objects.all(), ("name", "id"), cursor.rstrip("="))
    assert list(page.rows) == [database]


def test_a_page_takes_two_queries_and_leaves_heavy_fields_behind(
    database: Database, viewer: User
) -> None:
    for _ in range(5):
        make_backup_row(database, inventory={"tables": ["x" * 1000]})
    rows = backups_of(viewer, BackupFilter())
    with CaptureQueriesContext(connection) as queries:
        shown = [
            (row.database.server.name, row.state) for row in page_of(rows, ORDERS["newest"]).rows
        ]
    assert len(shown) == 5 and len(queries) == 2
    assert '"inventory"' not in queries[0]["sql"] + queries[1]["sql"]


def test_the_totals_count_what_is_restorable_and_mine(
    database: Database, viewer: User, stranger: User, team: Team
) -> None:
    make_database(database.server, name="unprotected")
    make_database(database.server, name="gone", state="gone")
    make_database(database.server, name="left out", is_included=False)
    make_backup_row(database, plain_bytes=300, stored_bytes=100, consistent_at=NOW)
    make_backup_row(database, state="degraded", plain_bytes=300, stored_bytes=100)
    for state in ("failed", "interrupted", "cancelled"):
        make_backup_row(database, state=state, label="", stored_bytes=None)
    make_backup_row(database, state="failed", label="", created_at=datetime(2020, 1, 1, tzinfo=UTC))

    totals = statistics(viewer)

    assert (totals.servers, totals.databases) == (1, 2)
    assert (totals.backups, totals.failed_lately, totals.stored_bytes) == (2, 2, 200)
    assert totals.ratio == 3.0
    assert statistics(stranger).backups == 0 and statistics(stranger).ratio is None
