"""Servers and repositories: what may be entered, what is kept secret, what a test tells."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from backups import secrets
from backups.models import Installation, Repository, Server
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.manager import create_repository
from tests.web.conftest import ClientOf
from tests.web.factories import make_database, make_repository_row, make_server

CANARY = "p4ssw0rd-c4nary"
POSTGRES = {
    "name": "db1",
    "host": "127.0.0.1",
    "port": "1",
    "user": "backup",
    "sslmode": "prefer",
    "maintenance_database": "postgres",
    "queue": "jobs",
}


@pytest.fixture
def unlocked() -> Iterator[None]:
    """A catalog with its key."""
    secrets.create_key_file()
    secrets.set_canary()
    yield
    settings.CATALOG_KEYS_FILE.unlink()
    Installation.objects.all().delete()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below which repositories may lie."""
    monkeypatch.setattr(settings, "REPOSITORY_ROOTS", [tmp_path])
    return tmp_path


@pytest.fixture
def server(team: Team, unlocked: None) -> Server:
    row = make_server(team, host="127.0.0.1", port=1)
    secrets.encrypt_field(row, "password", CANARY)
    return row


def entered(team: Team, **changes: str) -> dict[str, str]:
    return POSTGRES | {"team": str(team.pk)} | changes


def test_a_folder_of_sqlite_files_is_added_and_its_databases_are_found(
    client_of: ClientOf, admin: User, team: Team, unlocked: None, tmp_path: Path
) -> None:
    for name in ("a.db", "b.db"):
        sqlite3.connect(tmp_path / name).execute("CREATE TABLE t (x)").connection.close()
    answers = {"team": team.pk, "name": "shop", "folder": str(tmp_path), "queue": "jobs"}
    answer = client_of(admin).post(reverse("server-add") + "?kind=sqlite", answers)
    added = Server.objects.get()
    assert answer.url == reverse("server", args=[added.pk])
    assert sorted(row.name for row in added.databases.all()) == ["a.db", "b.db"]
    assert AuditEntry.objects.filter(action="server.add", object_id=added.pk).exists()


@pytest.mark.parametrize("folder", ["relative", "/srv/../etc", ""])
def test_a_folder_must_be_a_plain_absolute_path(
    folder: str, client_of: ClientOf, admin: User, team: Team
) -> None:
    answers = {"team": team.pk, "name": "shop", "folder": folder, "queue": "jobs"}
    answer = client_of(admin).post(reverse("server-add") + "?kind=sqlite", answers)
    assert answer.status_code == 422
    assert not Server.objects.exists()


def test_testing_before_saving_saves_nothing(client_of: ClientOf, admin: User, team: Team) -> None:
    client = client_of(admin)
    data = entered(team, password=CANARY, test="1")
    page = client.post(reverse("server-add"), data).content.decode()
    part = client.post(reverse("server-add"), data, headers={"HX-Request": "true"})
    assert "refused" in page and "<html" in page
    assert part.content.decode().startswith('<section id="probe"')
    assert CANARY not in page + part.content.decode()
    assert not Server.objects.exists()


@pytest.mark.parametrize("host", ["169.254.169.254", "0x7f000001", "metadata", "a b", "evil,db"])
def test_hosts_that_are_never_contacted(
    host: str, client_of: ClientOf, admin: User, team: Team
) -> None:
    data = entered(team, host=host, test="1")
    page = client_of(admin).post(reverse("server-add"), data).content.decode()
    assert 'class="notice notice--bad"' in page
    assert "Connection successful" not in page


@pytest.mark.parametrize(
    "change", [{"host": "127.0.0.2"}, {"port": "2"}, {"user": "eve"}, {"sslmode": "disable"}]
)
def test_a_stored_password_is_not_sent_to_another_place(
    change: dict[str, str], client_of: ClientOf, admin: User, team: Team, server: Server
) -> None:
    for extra in ({}, {"test": "1"}):
        data = entered(team, name=server.name, user=server.user) | change | extra
        answer = client_of(admin).post(reverse("server-edit", args=[server.pk]), data)
        assert answer.status_code == 422
        assert "Enter the password again" in answer.content.decode()
    before = (server.host, server.port, server.user, server.sslmode, server.password)
    server.refresh_from_db()
    assert before == (server.host, server.port, server.user, server.sslmode, server.password)


def test_what_is_not_about_the_connection_changes_without_the_password(
    client_of: ClientOf, admin: User, team: Team, server: Server
) -> None:
    kept, left = make_database(server, name="shop"), make_database(server, name="scratch")
    data = entered(team, name="renamed", user=server.user, exclude="scr*")
    answer = client_of(admin).post(reverse("server-edit", args=[server.pk]), data)
    assert answer.status_code == 302
    server.refresh_from_db()
    kept.refresh_from_db()
    left.refresh_from_db()
    assert (server.name, kept.is_included, left.is_included) == ("renamed", True, False)
    assert secrets.decrypt_field(server, "password") == CANARY


def test_a_server_cannot_be_moved_to_another_team(
    client_of: ClientOf, admin: User, team: Team, other_team: Team, server: Server
) -> None:
    data = entered(other_team, name=server.name, user=server.user)
    client_of(admin).post(reverse("server-edit", args=[server.pk]), data)
    server.refresh_from_db()
    assert server.team == team


def test_a_server_cannot_be_added_to_a_team_of_others(
    client_of: ClientOf, admin: User, other_team: Team
) -> None:
    assert client_of(admin).post(reverse("server-add"), entered(other_team)).status_code == 422
    assert not Server.objects.exists()


def test_no_page_shows_a_secret(
    client_of: ClientOf, owner: User, server: Server, team: Team
) -> None:
    repository = make_repository_row(team, kind="s3", url="s3://bucket")
    secrets.encrypt_field(repository, "credentials", CANARY)
    addresses = [reverse("server", args=[server.pk]), reverse("server-edit", args=[server.pk])]
    addresses += [reverse("repository", args=[repository.pk]), reverse("servers"), reverse("keys")]
    for address in addresses:
        page = client_of(owner).get(address).content.decode()
        assert CANARY not in page
        assert server.password not in page and repository.credentials not in page


def test_new_databases_are_marked_as_seen(
    client_of: ClientOf, operator: User, server: Server
) -> None:
    database = make_database(server, is_new=True)
    client_of(operator).post(reverse("server-seen", args=[server.pk]))
    database.refresh_from_db()
    assert not database.is_new


def test_an_empty_folder_becomes_a_repository(
    client_of: ClientOf, admin: User, team: Team, unlocked: None, root: Path
) -> None:
    old = make_repository_row(team, is_default=True)
    data = {"team": team.pk, "name": "disk", "folder": str(root / "disk"), "is_default": "on"}
    (root / "disk").mkdir()
    answer = client_of(admin).post(reverse("repository-add"), data)
    added = Repository.objects.get(name="disk")
    assert answer.url == reverse("repository", args=[added.pk])
    assert added.engine_id and (root / "disk" / "covet.json").exists()
    old.refresh_from_db()
    assert added.is_default and not old.is_default


def test_a_repository_that_is_there_is_taken_as_it_is(
    client_of: ClientOf, admin: User, team: Team, unlocked: None, root: Path
) -> None:
    made = create_repository(f"file://{root}/disk")
    data = {"team": team.pk, "name": "disk", "folder": str(root / "disk")}
    client_of(admin).post(reverse("repository-add"), data)
    assert Repository.objects.get().engine_id == made.id


@pytest.mark.parametrize("folder", ["/etc", "relative", "{root}/../x", "{root}", "{root}/full"])
def test_a_folder_that_may_not_be_one_is_refused_and_left_alone(
    folder: str, client_of: ClientOf, admin: User, team: Team, unlocked: None, root: Path
) -> None:
    (root / "full").mkdir()
    (root / "full" / "letter.txt").write_text("dear")
    data = {"team": team.pk, "name": "disk", "folder": folder.format(root=root)}
    answer = client_of(admin).post(reverse("repository-add"), data)
    assert answer.status_code == 422
    assert not Repository.objects.exists()
    assert not list(root.rglob("covet.json"))


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "http://169.254.169.254"},
        {"endpoint": "https://user:secret@s3.example.com"},
        {"endpoint": "file:///etc/passwd"},
        {"bucket": "../other"},
        {"secret_access_key": ""},
    ],
)
def test_buckets_that_are_refused(
    change: dict[str, str], client_of: ClientOf, admin: User, team: Team, unlocked: None
) -> None:
    data = {"team": team.pk, "name": "s3", "bucket": "b-1", "access_key_id": "id"}
    data |= {"secret_access_key": CANARY, "endpoint": "http://127.0.0.1:1"} | change
    answer = client_of(admin).post(reverse("repository-add") + "?kind=s3", data)
    assert answer.status_code == 422
    assert CANARY not in answer.content.decode()
    assert not Repository.objects.exists()


def test_the_test_of_a_repository_tells_each_step_and_leaves_nothing(
    client_of: ClientOf, admin: User, team: Team, unlocked: None, root: Path
) -> None:
    made = create_repository(f"file://{root}/disk")
    row = make_repository_row(team, url=f"file://{root}/disk", engine_id=made.id, problem="old")
    files = sorted(root.rglob("*"))
    page = client_of(admin).post(reverse("repository-test", args=[row.pk])).content.decode()
    assert page.count(" ms</span>") == 4
    row.refresh_from_db()
    assert row.problem == "" and row.checked_at
    assert [path for path in sorted(root.rglob("*")) if path.is_file()] == [
        path for path in files if path.is_file()
    ]


def test_a_repository_that_is_gone_or_another_says_so(
    client_of: ClientOf, admin: User, team: Team, unlocked: None, root: Path
) -> None:
    create_repository(f"file://{root}/disk")
    rows = [
        make_repository_row(team, url=f"file://{root}/unmounted"),
        make_repository_row(team, url=f"file://{root}/disk", engine_id="0" * 32),
    ]
    for row in rows:
        page = client_of(admin).post(reverse("repository-test", args=[row.pk])).content.decode()
        row.refresh_from_db()
        assert row.problem
        assert "badge--bad" in page
