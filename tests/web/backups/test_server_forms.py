"""A server is tried before it is stored: what fails stores nothing and says why."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from backups import secrets
from backups.models import Server
from backups.probing import try_server
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.postgresql.server.clients import PostgresClients, find_clients
from tests.support.postgres import PostgresServer
from tests.support.postgres_tls import Authority, encrypted
from tests.web.catalog import postgres_at
from tests.web.conftest import ClientOf
from tests.web.factories import make_server

pytest_plugins = ["tests.web.catalog_fixtures"]

CANARY = "p4ssw0rd-c4nary"
ADD = "server-add"


@pytest.fixture
def answers(team: Team, postgres_server: PostgresServer) -> dict[str, str]:
    """What somebody enters who makes no mistake."""
    return {
        "team": str(team.pk),
        "name": "main",
        "host": "127.0.0.1",
        "port": str(postgres_server.port),
        "user": "postgres",
        "password": postgres_server.password.reveal(),
        "sslmode": "prefer",
        "authority": "",
        "maintenance_database": "postgres",
        "queue": "jobs",
    }


@pytest.fixture
def anna(client_of: ClientOf, admin: User, vault: Path) -> Client:
    return client_of(admin)


def page_of(answer: HttpResponse) -> str:
    return answer.content.decode()


def leave_in(answer: HttpResponse) -> str:
    found = re.search(r'name="untested" value="([^"]+)"', page_of(answer))
    return found[1] if found else ""


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True))


def test_a_server_that_lets_us_in_is_stored_with_its_databases(
    anna: Client, answers: dict[str, str]
) -> None:
    answer = anna.post(reverse(ADD), answers)
    added = Server.objects.get()
    assert answer.url == reverse("server", args=[added.pk])
    assert secrets.decrypt_field(added, "password") == answers["password"]
    assert added.databases.exists() and added.version and not added.problem
    assert actions() == ["server.add", "server.discover"]


@pytest.mark.parametrize(
    ("change", "cause", "step"),
    [
        ({"password": CANARY}, "refuses the password", "is the password right"),
        ({"password": ""}, "none was given", "give the role&#x27;s password"),
        ({"maintenance_database": "nowhere"}, "no database", "is its name right"),
        ({"sslmode": "require"}, "no encrypted connections", "postgresql.conf"),
    ],
)
def test_what_the_server_refuses_is_not_stored_by_any_way(
    anna: Client, answers: dict[str, str], change: dict[str, str], cause: str, step: str
) -> None:
    answer = anna.post(reverse(ADD), answers | change)
    assert answer.status_code == 422
    page = page_of(answer)
    assert cause in page and step.lower() in page.lower()
    assert "<summary>Full message</summary>" in page and CANARY not in page
    assert leave_in(answer) == ""
    assert not Server.objects.exists() and actions() == ["server.test"]


@pytest.mark.parametrize("change", [{"port": "1"}, {"host": "host.invalid"}])
def test_a_server_that_is_down_is_stored_only_by_a_second_wish(
    anna: Client, answers: dict[str, str], change: dict[str, str]
) -> None:
    answers = answers | change | {"password": CANARY}
    refused = anna.post(reverse(ADD), answers)
    assert refused.status_code == 422 and not Server.objects.exists()
    saved = anna.post(reverse(ADD), answers | {"untested": leave_in(refused)}, follow=True)
    added = Server.objects.get()
    assert "without a test" in added.problem and "without a test" in page_of(saved)
    assert secrets.decrypt_field(added, "password") == CANARY
    assert CANARY not in page_of(saved) + str(list(AuditEntry.objects.values()))
    assert actions() == ["server.test", "server.add-untested"]


def test_the_leave_to_save_untested_is_for_what_was_tried(
    anna: Client, answers: dict[str, str], client_of: ClientOf, owner: User
) -> None:
    answers["port"] = "1"
    leave = leave_in(anna.post(reverse(ADD), answers))
    for change in ({"host": "127.0.0.2"}, {"user": "eve"}, {"port": "2"}, {"password": ""}):
        tried = anna.post(reverse(ADD), answers | change | {"untested": leave})
        assert tried.status_code == 422, change
    for forged in ("1", leave[:-2], ""):
        assert anna.post(reverse(ADD), answers | {"untested": forged}).status_code == 422
    other = client_of(owner).post(reverse(ADD), answers | {"untested": leave})
    assert other.status_code == 422
    assert not Server.objects.exists()


def test_a_failed_test_offers_to_save_without_one(anna: Client, answers: dict[str, str]) -> None:
    answer = anna.post(
        reverse(ADD), answers | {"port": "1", "test": "1"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 200 and leave_in(answer)
    assert 'form="server-form"' in page_of(answer)


def test_a_change_that_fails_leaves_what_is_stored_alone(
    anna: Client, team: Team, answers: dict[str, str], postgres_server: PostgresServer
) -> None:
    stored = make_server(team, name="main", host="127.0.0.1", port=postgres_server.port)
    secrets.encrypt_field(stored, "password", CANARY)
    before = Server.objects.values().get()
    wrong = answers | {"password": "wrong", "name": "renamed"}
    for extra in ({}, {"test": "1"}):
        answer = anna.post(reverse("server-edit", args=[stored.pk]), wrong | extra)
        assert "refuses the password" in page_of(answer)
        assert Server.objects.values().get() == before
    answer = anna.post(reverse("server-edit", args=[stored.pk]), answers)
    assert answer.status_code == 302
    assert Server.objects.get().user == "postgres"


def test_a_folder_that_is_not_there_is_not_stored(anna: Client, team: Team, vault: Path) -> None:
    answers = {"team": team.pk, "name": "tills", "folder": str(vault / "none"), "queue": "jobs"}
    answer = anna.post(reverse(ADD) + "?kind=sqlite", answers)
    assert answer.status_code == 422 and "cannot be listed" in page_of(answer)
    assert not Server.objects.exists() and leave_in(answer)


def test_the_certificate_of_an_authority_is_kept_and_used(
    anna: Client, answers: dict[str, str], postgres_server: PostgresServer
) -> None:
    known, stranger = Authority.new("Known"), Authority.new("Stranger")
    answers["sslmode"] = "verify-full"
    with encrypted(postgres_server, known):
        for authority, cause in ((stranger.pem(), "not signed by"), ("", "not signed by")):
            answer = anna.post(reverse(ADD), answers | {"authority": authority})
            assert answer.status_code == 422 and cause in page_of(answer)
        assert not Server.objects.exists()
        anna.post(reverse(ADD), answers | {"authority": known.pem()})
        added = Server.objects.get()
        assert added.databases.exists()
        added.authority = stranger.pem()
        answer = anna.post(
            reverse("server-edit", args=[added.pk]),
            answers | {"authority": stranger.pem(), "password": ""},
        )
        assert "Enter the password again" in page_of(answer)
    page = page_of(anna.get(reverse("server", args=[added.pk])))
    assert "custom CA certificate" in page


def test_what_is_no_certificate_is_refused_before_anything_is_contacted(
    anna: Client, answers: dict[str, str]
) -> None:
    for text, cause in (
        ("MIIB", "no certificate in PEM"),
        (Authority.new("Old").pem(days=-1), "expired"),
    ):
        answer = anna.post(reverse(ADD), answers | {"port": "1", "authority": text})
        assert answer.status_code == 422 and cause in page_of(answer)
    assert actions() == []


@pytest.mark.parametrize(
    ("version", "cause"), [("12.3", "too old for version"), ("", "no PostgreSQL client programs")]
)
def test_client_programs_that_do_not_fit_are_named_with_what_to_install(
    version: str,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    vault: Path,
    team: Team,
    postgres_server: PostgresServer,
) -> None:
    found = programs_of(tmp_path, version) if version else []
    monkeypatch.setattr(
        "covetbackup.core.databases.postgresql.engine.find_clients", lambda directories: found
    )
    check = try_server(postgres_at(team, postgres_server), password=postgres_server.password)
    [finding] = [finding for finding in check.checks if finding.level is Level.FAIL]
    assert cause in finding.detail
    assert f"install postgresql-client-{postgres_server.major}" in finding.fix


def programs_of(folder: Path, version: str) -> list[PostgresClients]:
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} (PostgreSQL) {version}"\n')
        (folder / name).chmod(0o755)
    return find_clients([folder])


def test_the_command_keeps_the_certificate_that_the_address_names(
    vault: Path, team: Team, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    known, stranger = Authority.new("Known"), Authority.new("Stranger")
    password = tmp_path / "password"
    password.write_text(postgres_server.password.reveal())
    password.chmod(0o600)
    file = tmp_path / "authority.pem"
    address = postgres_server.url("postgres").replace("disable", f"verify-ca&sslrootcert={file}")
    arguments = ("add_server", address, "--name", "main", "--password-file", str(password))
    with encrypted(postgres_server, known):
        file.write_text(stranger.pem())
        status, _, error = run(*arguments)
        assert status != 0 and "not signed by the authority" in error and "details: " in error
        assert not Server.objects.exists()
        file.write_text(known.pem())
        assert run(*arguments)[0] == 0
    assert Server.objects.get().authority == file.read_text()


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    out, err = StringIO(), StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()
