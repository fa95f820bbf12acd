"""The commands that pages show do what the pages say when they are pasted as they are."""

from __future__ import annotations

import html
import re
import shlex
import subprocess

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from backups.models import Backup, Database, Repository
from covetbackup.access.models import Team, User
from covetbackup.command_line import command
from covetbackup.jobs.models import Job
from tests.shape.tree import ROOT
from tests.web.conftest import ClientOf
from tests.web.factories import make_backup_row, make_database, make_job, make_server
from tests.web.replacements import replaced
from tests.web.restores_helper import taken

pytest_plugins = ["tests.web.catalog_fixtures"]

_SHOWN = re.compile(r'<code id="command-\d+">(.*?)</code>', re.DOTALL)


def shown(client: Client, address: str) -> list[str]:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return [html.unescape(text) for text in _SHOWN.findall(answer.content.decode())]


def run(text: str) -> None:
    """As a shell would, in this process; `--wait` would wait for a worker for ever."""
    program = shlex.split(command())
    assert shlex.split(text)[: len(program)] == program, text
    name, *words = shlex.split(text)[len(program) :]
    try:
        call_command(name, *[word for word in words if word != "--wait"])
    except SystemExit as ended:
        assert not ended.code, text


@pytest.fixture
def backup(repository: Repository, shop: Database) -> Backup:
    return taken(shop)


def test_a_shell_in_the_root_of_the_installation_finds_the_program() -> None:
    done = subprocess.run(["sh", "-c", command("help", "jobs")], cwd=ROOT, capture_output=True)
    assert done.returncode == 0 and b"usage: covetbackup jobs" in done.stdout


def test_every_command_that_is_shown_works_as_it_is(
    client_of: ClientOf, owner: User, team: Team, backup: Backup, shop: Database
) -> None:
    client = client_of(owner)
    job = make_job(team, kind="verify", title="waits")
    target = f"server={shop.server_id}&repository={backup.copies.get().repository_id}&owner=keep"
    pages = [
        *(reverse(name) for name in ("overview", "databases", "backups", "jobs", "keys", "audit")),
        reverse("database", args=[shop.pk]),
        f"{reverse('backups')}?state=restorable&database={shop.pk}&order=largest",
        f"{reverse('backups')}?q=shop&since=2026-01-01&until=2100-01-01",
        f"{reverse('backups')}?repository={backup.copies.get().repository_id}",
        reverse("repository", args=[backup.copies.get().repository_id]),
        reverse("backup", args=[backup.pk]),
        reverse("restore-start", args=[backup.pk]),
        f"{reverse('restore-check', args=[backup.pk])}?{target}&jobs=1&name=again.db",
        reverse("restore-replace", args=[backup.pk]),
        reverse("job", args=[job.pk]),
    ]
    texts = {text for page in pages for text in shown(client, page)}

    for text in sorted(texts, key=lambda text: (" --replace " in text, text)):
        if " backup " in text:
            Job.objects.filter(kind="backup").update(state="succeeded")
        run(text)

    names = {shlex.split(text)[len(shlex.split(command()))] for text in texts}
    assert names >= {"list", "backup", "verify", "restore", "jobs", "cancel", "check_secrets"}


def test_what_changes_a_replaced_or_stored_database_is_shown_as_it_is_typed(
    client_of: ClientOf, owner: User, backup: Backup
) -> None:
    client, kept = client_of(owner), replaced(backup)
    pages = {name: reverse(name, args=[kept.restore_id]) for name in ("restore-revert",)}
    pages["backup-delete"] = reverse("backup-delete", args=[backup.pk])
    for page in pages.values():
        (text,) = shown(client, page)
        run(text)


def test_no_command_is_shown_for_what_is_over(client_of: ClientOf, owner: User, team: Team) -> None:
    client = client_of(owner)
    ended = make_job(team, state="succeeded")
    cancelled = make_backup_row(make_database(make_server(team)), state="cancelled", label="")
    assert shown(client, reverse("job", args=[ended.pk])) == []
    assert shown(client, reverse("backup", args=[cancelled.pk])) == []
    assert shown(client, reverse("restores")) == []


def test_what_must_be_filled_in_is_said_to_be(client_of: ClientOf, owner: User) -> None:
    page = client_of(owner).get(reverse("server-add")).content.decode()
    assert "with your values for the words in capitals" in page


def test_names_are_quoted_for_a_shell() -> None:
    nasty = "a b'; touch x #$(y)"
    assert shlex.split(command("backup", nasty))[-1] == nasty
