"""A kind of database that the product has not, and one form: the pages do the rest."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from backups.forms.servers import SERVER_FORMS, SqliteServerForm
from backups.models import Backup, Database, Server
from backups.tasks import run_backup, run_verify
from covetbackup.access.models import Team, User
from covetbackup.core.databases.registry import ENTRIES
from covetbackup.jobs.models import Job
from restores.models import Restore
from tests.support.toy_kind import NAME, REGISTERED, write_toy
from tests.web.catalog import FakeWork
from tests.web.conftest import ClientOf
from tests.web.restores_helper import run

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")


class ToyServerForm(SqliteServerForm):
    """A folder of files of the kind."""

    kind = NAME


@pytest.fixture
def anna(client_of: ClientOf, admin: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setitem(ENTRIES, NAME, REGISTERED)
    monkeypatch.setitem(SERVER_FORMS, NAME, ToyServerForm)
    return client_of(admin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "toys"
    made.mkdir()
    write_toy(made / "shop.kv", rows=3)
    return made


@pytest.fixture
def database(anna: Client, folder: Path, team: Team) -> Database:
    """The database, found by adding its server."""
    answers = {"team": team.pk, "name": "Toys", "folder": str(folder), "queue": "jobs"}
    added = anna.post(f"{reverse('server-add')}?kind={NAME}", answers)
    assert added.status_code == 302, added.content.decode()[-3000:]
    assert added.headers["Location"] == reverse("server", args=[Server.objects.get().pk])
    return Database.objects.get()


@pytest.fixture
def backup(anna: Client, database: Database) -> Backup:
    repository = database.server.team.repositories.get()
    asked = {"repositories": [repository.pk], "codec": "zstd:3", "cipher": "aes-256-gcm"}
    anna.post(reverse("database-backup", args=[database.pk]), asked)
    run_backup(FakeWork(Job.objects.get(kind="backup")))
    return Backup.objects.get()


def text_of(answer: HttpResponse) -> str:
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def target(backup: Backup, name: str = "shop.kv") -> dict[str, object]:
    copy = backup.copies.get()
    server = backup.database.server_id
    return {"server": server, "name": name, "repository": copy.repository_id}


def command(name: str, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Run a command of the dashboard, which must end with `status`; return what it prints."""
    out, ended_with = StringIO(), 0
    try:
        call_command(name, *arguments, "--json", stdout=out, stderr=StringIO())
    except SystemExit as ended:
        ended_with = int(ended.code or 0)
    assert ended_with == status, out.getvalue()
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_its_form_is_one_of_those_of_servers(anna: Client) -> None:
    assert "Toy files" in text_of(anna.get(reverse("server-add")))
    assert "Folder" in text_of(anna.get(f"{reverse('server-add')}?kind={NAME}"))


def test_its_databases_are_found_and_shown(anna: Client, database: Database, folder: Path) -> None:
    assert database.name == "shop.kv" and database.is_included
    write_toy(folder / "other.kv", rows=1)
    server = database.server
    tested = text_of(anna.post(reverse("server-test", args=[server.pk])))
    assert "2 databases" in tested
    anna.post(reverse("server-discover", args=[server.pk]))
    assert {row.name for row in server.databases.all()} == {"shop.kv", "other.kv"}
    assert "shop.kv" in text_of(anna.get(reverse("databases")))
    assert "Toys" in text_of(anna.get(reverse("server", args=[server.pk])))


def test_its_backups_are_taken_shown_and_verified(anna: Client, backup: Backup) -> None:
    assert backup.is_restorable
    assert "pairs" in text_of(anna.get(reverse("backup", args=[backup.pk])))
    anna.post(reverse("backup-verify", args=[backup.pk]), {"level": "content"})
    run_verify(FakeWork(Job.objects.get(kind="verify")))
    backup.refresh_from_db()
    assert (backup.verified_level, backup.verify_problem) == ("content", "")


def test_a_restore_is_checked_requested_and_run(anna: Client, backup: Backup, folder: Path) -> None:
    start = text_of(anna.get(reverse("restore-start", args=[backup.pk])))
    assert "New database name" in start
    answers = {
        "server": backup.database.server.pk,
        "name": "shop.kv",
        "repository": backup.copies.get().repository_id,
    }
    url = reverse("restore-check", args=[backup.pk])
    assert "shop.kv exists already" in text_of(anna.get(url, answers))
    page = text_of(anna.get(url, target(backup, "copy.kv")))
    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    anna.post(url, sent)
    restore = Restore.objects.get()
    run(restore)
    assert (folder / "copy.kv").read_bytes() == (folder / "shop.kv").read_bytes()
    result = text_of(anna.get(reverse("restore", args=[restore.pk])))
    assert "1 table with 3 rows, all as in the backup" in result
    assert f"cat {folder / 'copy.kv'}" in result


def test_what_it_refuses_is_said_on_the_page(anna: Client, backup: Backup) -> None:
    answers = {**target(backup), "retention_days": 7}
    page = anna.get(reverse("restore-replace-check", args=[backup.pk]), answers)
    assert "Files of this kind are not replaced." in text_of(page)


def test_every_command_of_the_dashboard_works(anna: Client, folder: Path, team: Team) -> None:
    assert command("add_server", f"toy://{folder}", "--name", "Toys")["databases"] == ["shop.kv"]
    command("backup", "Toys/shop.kv")
    run_backup(FakeWork(Job.objects.get(kind="backup")))
    latest = ("latest", "--database", "Toys/shop.kv")
    assert [one["label"] for one in command("list")["backups"]] == [
        command("show", *latest)["label"]
    ]
    command("verify", *latest, "--level", "content")
    run_verify(FakeWork(Job.objects.get(kind="verify")))
    assert Backup.objects.get().verified_level == "content"
    refused = command("restore", *latest, "--as", "shop.kv", "--check", status=7)["checks"]
    assert [check["title"] for check in refused if check["level"] == "fail"] == ["Name"]
    command("restore", *latest, "--as", "copy.kv", "--check")
    command("restore", *latest, "--as", "copy.kv")
    run(Restore.objects.get())
    assert (folder / "copy.kv").read_bytes() == (folder / "shop.kv").read_bytes()
