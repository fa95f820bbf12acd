"""What can be done with a backup from its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.conf import settings
from django.urls import reverse

from backups import secrets
from backups.models import Backup, BackupCopy, BackupState, Database, Installation, Repository
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry
from covetbackup.command_line import command
from covetbackup.jobs.models import Job
from tests.web.conftest import ClientOf
from tests.web.factories import make_backup_row, make_database, make_repository_row, make_server


@pytest.fixture
def unlocked() -> Iterator[None]:
    """A catalog with its key."""
    secrets.create_key_file()
    secrets.set_canary()
    yield
    settings.CATALOG_KEYS_FILE.unlink()
    Installation.objects.all().delete()


@pytest.fixture
def repository(team: Team) -> Repository:
    return make_repository_row(team, is_default=True)


@pytest.fixture
def database(team: Team) -> Database:
    return make_database(make_server(team), name='shop "1"')


@pytest.fixture
def backup(database: Database, repository: Repository) -> Backup:
    return make_backup_row(database, repository=repository)


def asked(repository: Repository, **changes: object) -> dict[str, object]:
    return {"repositories": [repository.pk], "codec": "gzip:6", "cipher": "none"} | changes


def test_back_up_now_asks_for_one_backup_as_chosen_and_leads_to_its_job(
    client_of: ClientOf, operator: User, database: Database, repository: Repository, unlocked: None
) -> None:
    other = make_repository_row(repository.team)
    data = asked(repository, repositories=[repository.pk, other.pk], note="before")
    address = reverse("database-backup", args=[database.pk])
    answer = client_of(operator).post(address, data)
    made = Backup.objects.get()
    assert answer.url == reverse("job", args=[made.job_id])
    assert (made.codec, made.cipher, made.note) == ("gzip:6", "none", "before")
    assert made.requested_by == operator
    assert made.copies.count() == 2
    assert AuditEntry.objects.filter(action="backup.run", user=operator).exists()


def test_a_form_sent_twice_asks_for_one_backup_even_if_it_runs_by_then(
    client_of: ClientOf, operator: User, database: Database, repository: Repository, unlocked: None
) -> None:
    client = client_of(operator)
    page = client.get(reverse("database", args=[database.pk])).content.decode()
    form = asked(repository, backup_id=re.search(r'name="backup_id" value="([\w-]+)"', page)[1])
    address = reverse("database-backup", args=[database.pk])
    first = client.post(address, form)
    Job.objects.update(state="running", token=uuid4())
    assert client.post(address, form).url == first.url
    assert Backup.objects.count() == Job.objects.count() == 1
    assert AuditEntry.objects.filter(action="backup.run").count() == 1
    other = make_database(database.server)
    page = client.post(reverse("database-backup", args=[other.pk]), form, follow=True)
    assert "used for another database" in page.content.decode()
    assert Backup.objects.count() == 1


def test_while_one_backup_waits_no_second_is_asked_for(
    client_of: ClientOf, operator: User, database: Database, repository: Repository, unlocked: None
) -> None:
    client = client_of(operator)
    for _ in range(2):
        page = client.post(
            reverse("database-backup", args=[database.pk]), asked(repository), follow=True
        )
    assert "is waiting already" in page.content.decode()
    assert Backup.objects.count() == 1


@pytest.mark.parametrize(
    "change", [{"repositories": []}, {"codec": "rar"}, {"cipher": "rot13"}, {"repositories": [0]}]
)
def test_impossible_wishes_are_refused(
    change: dict[str, object],
    client_of: ClientOf,
    operator: User,
    database: Database,
    repository: Repository,
) -> None:
    address = reverse("database-backup", args=[database.pk])
    assert client_of(operator).post(address, asked(repository, **change)).status_code == 422
    assert not Backup.objects.exists()


def test_a_backup_cannot_go_to_another_team(
    client_of: ClientOf, operator: User, database: Database, other_team: Team
) -> None:
    foreign = make_repository_row(other_team)
    address = reverse("database-backup", args=[database.pk])
    assert client_of(operator).post(address, asked(foreign)).status_code == 422
    assert not Backup.objects.exists()


def test_without_the_catalogs_key_nothing_is_asked_for(
    client_of: ClientOf, operator: User, database: Database, repository: Repository
) -> None:
    address = reverse("database-backup", args=[database.pk])
    page = client_of(operator).post(address, asked(repository), follow=True).content.decode()
    assert "notice--bad" in page
    assert not Backup.objects.exists() and not Job.objects.exists()


def test_copy_again_queues_what_is_missing_and_shows_it(
    client_of: ClientOf, operator: User, viewer: User, backup: Backup
) -> None:
    page = reverse("backup", args=[backup.pk])
    client = client_of(operator)
    assert "Copy again" not in client.get(page).content.decode()
    away = make_repository_row(backup.database.server.team)
    BackupCopy.objects.create(backup=backup, repository=away, state="failed", problem="no room")
    Backup.objects.update(state="degraded")
    text = client.get(page).content.decode()
    assert "Copy again" in text and command("copy", backup.label) in text

    answers = [client.post(reverse("backup-copy", args=[backup.pk])) for _ in range(2)]

    job = Job.objects.get()
    assert (job.kind, job.requested_by) == ("copy", operator)
    assert {answer.url for answer in answers} == {reverse("job", args=[job.pk])}
    address = reverse("job", args=[job.pk])
    expected = f'Copying again in <a href="{address}">job {job.pk}</a>'
    assert expected in client.get(page).content.decode()
    assert AuditEntry.objects.filter(action="backup.copy", user=operator).exists()
    assert "disabled" in client_of(viewer).get(page).content.decode().split("Copy again")[0][-200:]


def test_verify_now_queues_the_chosen_level(
    client_of: ClientOf, operator: User, backup: Backup
) -> None:
    address = reverse("backup-verify", args=[backup.pk])
    client_of(operator).post(address, {"level": "checksum"})
    job = Job.objects.get()
    assert (job.kind, job.argument["level"]) == ("verify", "checksum")
    client_of(operator).post(address, {"level": "restore"})
    client_of(operator).post(address, {"level": "../etc"})
    assert Job.objects.count() == 1


def test_the_last_good_backup_goes_only_if_its_databases_name_is_typed(
    client_of: ClientOf, admin: User, backup: Backup
) -> None:
    client, address = client_of(admin), reverse("backup-delete", args=[backup.pk])
    assert "the last restorable backup" in client.get(address).content.decode()
    for typed in ("", "shop", "SHOP"):
        assert client.post(address, {"name": typed}).status_code == 422
    assert not Job.objects.exists()
    answer = client.post(address, {"name": backup.database.name})
    backup.refresh_from_db()
    assert backup.state == BackupState.EXPIRING
    assert answer.url == reverse("job", args=[Job.objects.get().pk])
    assert AuditEntry.objects.filter(action="backup.delete", object_id=str(backup.pk)).exists()


def test_a_backup_that_is_not_the_last_needs_no_typing(
    client_of: ClientOf, admin: User, backup: Backup
) -> None:
    older = make_backup_row(backup.database)
    client_of(admin).post(reverse("backup-delete", args=[older.pk]))
    older.refresh_from_db()
    assert older.state == BackupState.EXPIRING


def test_a_pinned_backup_is_not_deleted(client_of: ClientOf, admin: User, backup: Backup) -> None:
    client = client_of(admin)
    client.post(reverse("backup-pin", args=[backup.pk]), {"pinned": "1"})
    name = {"name": backup.database.name}
    page = client.post(reverse("backup-delete", args=[backup.pk]), name, follow=True)
    assert "is pinned" in page.content.decode()
    backup.refresh_from_db()
    assert backup.state == BackupState.AVAILABLE


def test_an_operator_pins_but_only_an_admin_unpins(
    client_of: ClientOf, operator: User, admin: User, backup: Backup
) -> None:
    address = reverse("backup-pin", args=[backup.pk])
    client_of(operator).post(address, {"pinned": "1"})
    assert client_of(operator).post(address, {"pinned": "0"}).status_code == 403
    backup.refresh_from_db()
    assert backup.is_pinned
    client_of(admin).post(address, {"pinned": "0"})
    backup.refresh_from_db()
    assert not backup.is_pinned


def test_a_note_and_tags_are_kept(client_of: ClientOf, operator: User, backup: Backup) -> None:
    address = reverse("backup-note", args=[backup.pk])
    client_of(operator).post(address, {"note": "keep\nme", "tags": "a, b ,a,, <c>"})
    backup.refresh_from_db()
    assert (backup.note.splitlines(), backup.tags) == (["keep", "me"], ["a", "b", "<c>"])
    client_of(operator).post(address, {"note": "x" * 3000})
    backup.refresh_from_db()
    assert len(backup.note) < 10


@pytest.mark.parametrize("state", BackupState.values)
def test_every_state_of_a_backup_has_a_page(
    state: str, client_of: ClientOf, owner: User, database: Database
) -> None:
    never = {"started_at": None, "finished_at": None, "consistent_at": None, "plain_bytes": None}
    unknown = never if state in ("pending", "failed") else {}
    backup = make_backup_row(database, state=state, **unknown)
    page = client_of(owner).get(reverse("backup", args=[backup.pk])).content.decode()
    assert page.count("<h1>") == 1 and 'class="badge' in page
