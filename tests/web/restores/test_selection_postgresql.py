"""Some tables of a real PostgreSQL backup: chosen, checked, and restored with what they need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from psycopg import sql

from backups.models import Backup, Database
from covetbackup.access.models import Team, User
from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.postgresql import engine
from covetbackup.core.databases.postgresql.backup.single_stream import METHOD
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import BadSetting
from restores.models import Restore
from restores.preflight import preflight
from restores.result import summary_of
from restores.selection_options import items_of
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import contents
from tests.web.catalog import postgres_at
from tests.web.conftest import ClientOf
from tests.web.factories import make_database
from tests.web.restores_helper import asked, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")

HOSTILE = ["<script>alert(1)</script>", 'quo"ted, comma', "new\nline\r\nend", "--help", "ünder.dot"]


@pytest.fixture
def source(team: Team, postgres_tidy: PostgresServer, postgres_database: str) -> Database:
    """Sixty small tables, one that needs a type and a sequence and refers to another, and tables
    in a schema whose names try whatever they go through."""
    hostile = [
        sql.SQL("CREATE TABLE odd.{} AS SELECT {} AS id").format(sql.Identifier(name), number)
        for number, name in enumerate(HOSTILE)
    ]
    postgres_tidy.execute(
        postgres_database,
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE maker (id int PRIMARY KEY)",
        "CREATE TABLE item (id serial PRIMARY KEY, mood mood, maker int REFERENCES maker)",
        "INSERT INTO item (mood) SELECT 'good' FROM generate_series(1, 1200)",
        "CREATE VIEW good AS SELECT id FROM item WHERE mood = 'good'",
        *(f"CREATE TABLE small_{number} ()" for number in range(60)),
        "CREATE SCHEMA odd",
        *(statement.as_string(None) for statement in hostile),
    )
    return make_database(postgres_at(team, postgres_tidy), name=postgres_database)


@pytest.fixture
def backup(source: Database) -> Backup:
    return taken(source)


def copy_of(backup: Backup) -> str:
    return f"{backup.database.name}_part"


def chosen(backup: Backup, *tables: str, **more: Any) -> Any:
    return plan_for(backup, copy_of(backup), selection=Selection(tables, **more))


def tables_in(server: PostgresServer, name: str) -> set[str]:
    query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text"
    return {row for (row,) in server.rows(name, f"{query} IN ('public', 'odd')")}


def by_title(checks: list[Check]) -> dict[str, Check]:
    return {check.title: check for check in checks}


def test_one_of_many_comes_with_its_needs_and_nothing_else(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = contents(postgres_tidy, backup.database.name)
    restore = asked(chosen(backup, "public.item"))
    run(restore)
    restore.refresh_from_db()
    copy = copy_of(backup)
    assert tables_in(postgres_tidy, copy) == {"item"}
    assert contents(postgres_tidy, copy)["public.item"] == before["public.item"]
    assert contents(postgres_tidy, backup.database.name) == before
    postgres_tidy.execute(copy, "INSERT INTO item (mood) VALUES ('bad')")
    assert postgres_tidy.rows(copy, "SELECT max(id) FROM item") == [(1201,)]
    summary = summary_of(restore)
    assert summary.sentence == "1 of 67 tables with 1,200 rows, all as in the backup"


def test_structure_alone_is_told_as_such(backup: Backup, postgres_tidy: PostgresServer) -> None:
    restore = asked(chosen(backup, schemas=("odd",), with_data=False))
    run(restore)
    copy = copy_of(backup)
    assert tables_in(postgres_tidy, copy) == set(HOSTILE)
    assert postgres_tidy.rows(copy, 'SELECT count(*) FROM odd."--help"') == [(0,)]
    assert summary_of(restore).sentence == "the structure of 5 of 67 tables, as in the backup"


def test_the_checks_say_what_comes_and_what_does_not(backup: Backup) -> None:
    found = by_title(preflight(chosen(backup, "public.good")))
    assert [check for check in found.values() if check.level is Level.FAIL] == []
    assert re.match(r"1 of 67 tables: 1,200 rows, \d.* to be loaded", found["Selection"].detail)
    assert "public.item" in found["Dependencies"].detail
    assert "item_maker_fkey" in found["Foreign keys"].detail
    assert found["Foreign keys"].level is Level.WARNING


def test_the_checks_ask_only_for_what_the_chosen_need(
    source: Database, postgres_tidy: PostgresServer, postgres_role: Callable[..., PostgresRole]
) -> None:
    role = postgres_role()
    postgres_tidy.execute(source.name, f"ALTER TABLE maker OWNER TO {role.name}")
    row = taken(source)
    gone = (f"DROP OWNED BY {role.name} CASCADE", f"DROP ROLE {role.name}")
    postgres_tidy.execute(source.name, *gone)
    roles = [
        by_title(preflight(plan))["Roles"].level
        for plan in (chosen(row, "public.item"), chosen(row, "public.maker"))
    ]
    assert roles == [Level.PASS, Level.FAIL]
    run(asked(chosen(row, "public.item")))
    assert tables_in(postgres_tidy, copy_of(row)) == {"item"}


def test_what_is_not_in_the_backup_fails_before_anything_runs(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = postgres_tidy.databases()
    check = by_title(preflight(chosen(backup, "public.nowhere")))["Selection"]
    assert check.level is Level.FAIL
    assert "no table public.nowhere" in check.detail and "Change the selection" in check.fix
    with pytest.raises(BadSetting, match="nowhere"):
        run(asked(chosen(backup, "public.nowhere")))
    assert postgres_tidy.databases() == before


def test_of_a_dump_in_one_stream_nothing_can_be_chosen(
    source: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PARALLEL", METHOD)
    check = by_title(preflight(chosen(taken(source), "public.item")))["Selection"]
    assert check.level is Level.FAIL and "one stream" in check.detail


def test_hostile_names_are_chosen_on_the_pages_and_restored(
    client_of: ClientOf, operator: User, backup: Backup, postgres_tidy: PostgresServer
) -> None:
    client = client_of(operator)
    keys = [k for k, item in items_of(backup).items() if item.name.startswith("odd.")]
    picker = client.get(reverse("restore-select", args=[backup.pk]), {"find": "ODD.", "pick": keys})
    ticked = re.findall(r'name="pick" value="\w+" checked', picker.content.decode())
    assert len(ticked) == len(HOSTILE)
    assert 'title="' in picker.content.decode()  # sizes, read from the backup itself
    page = checked(client, backup, keys)
    assert "<script>alert(1)" not in page
    restore = Restore.objects.get(pk=asked_on(client, backup, page))
    run(restore)
    assert tables_in(postgres_tidy, restore.request.database) == set(HOSTILE)
    here, there = (
        contents(postgres_tidy, name) for name in (restore.request.database, backup.database.name)
    )
    assert all(here[f"odd.{name}"] == there[f"odd.{name}"] for name in HOSTILE)
    result = client.get(reverse("restore", args=[restore.pk])).content.decode()
    assert "5 of 67 tables with 5 rows, all as in the backup" in result
    assert "<script>alert(1)" not in result


def checked(client: Client, backup: Backup, keys: list[str]) -> str:
    """The page of checks, by way of the page before it."""
    start = reverse("restore-start", args=[backup.pk])
    page = client.get(start, {"what": "some", "pick": keys}).content.decode()
    name = re.search(r'name="name" value="([^"]+)"', page)
    assert name is not None
    where = {"server": backup.database.server_id, "name": unescape(name[1]), "jobs": "2"}
    where |= {"repository": backup.copies.get().repository_id, "owner": "keep"}
    address = reverse("restore-check", args=[backup.pk])
    answer = client.get(address, {**where, "what": "some", "pick": keys})
    return answer.content.decode()


def asked_on(client: Client, backup: Backup, page: str) -> str:
    """Send the last form of the page; gives the id of the restore."""
    form = page[page.rindex("<form method") :]
    sent: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form):
        sent.setdefault(name, []).append(unescape(value))
    answer = client.post(reverse("restore-check", args=[backup.pk]), sent)
    return answer.headers["Location"].strip("/").rpartition("/")[2]


def told(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    try:
        call_command("restore", *arguments, "--json", stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return {"exit": ended.code, **json.loads(out.getvalue())}
    return {"exit": 0, **json.loads(out.getvalue())}


def test_the_command_does_the_same(backup: Backup, postgres_tidy: PostgresServer) -> None:
    target = (backup.label, "--as", copy_of(backup))
    options = (f"--table=odd.{HOSTILE[0]}", f"--table=odd.{HOSTILE[2]}", "--schema-only")
    looked = told(*target, *options, "--check")
    titles = {check["title"]: check for check in looked["checks"]}
    assert titles["Selection"]["detail"] == "The structure of 2 of 67 tables, without rows."
    restore = Restore.objects.get(pk=told(*target, *options)["restore"])
    run(restore)
    assert tables_in(postgres_tidy, copy_of(backup)) == {HOSTILE[0], HOSTILE[2]}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--as", "x", "--schema-only"], 2),
        (["--as", "x", "--schema", "nowhere", "--check"], 7),
        (["--replace", "{server}/x", "--confirm", "x", "--table", "public.item", "--check"], 7),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    options: list[str], status: int, backup: Backup
) -> None:
    words = [word.format(server=backup.database.server.name) for word in options]
    assert told(backup.label, *words)["exit"] == status
    assert not Restore.objects.exists()
