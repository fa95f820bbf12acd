"""The commands of the catalog: what they print, how they end, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils.module_loading import import_string

from backups import secrets, tasks
from backups.management.lookups import find_backup, find_database, find_team
from backups.management.reporting import status_of
from backups.management.waiting import wait_for
from backups.models import Backup, Database, Repository, Server
from backups.services import request_backup
from covetbackup.access.models import Team
from covetbackup.audit.models import AuditEntry
from covetbackup.core.errors import BadSetting
from covetbackup.core.text import printable_text
from covetbackup.jobs.models import Job, JobEvent
from tests.support.pgbouncer import pooler
from tests.support.postgres import PostgresRole, PostgresServer
from tests.web.catalog import FakeWork, end, make_file, make_repository, reload
from tests.web.factories import make_backup_row, make_database, make_job, make_server

pytest_plugins = ["tests.web.catalog_fixtures"]


def run(command: str, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    out, err = StringIO(), StringIO()
    try:
        call_command(command, *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def run_json(command: str, *arguments: str) -> dict[str, Any]:
    status, out, _ = run(command, *arguments, "--json")
    found: dict[str, Any] = json.loads(out)
    assert found["status"] == status
    return found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--wait` runs the job itself: there is no worker in this test."""

    def ended(job: Job, *, quiet: bool) -> Job:
        work: Callable[[FakeWork], None] = import_string(settings.JOB_KINDS[job.kind])
        try:
            work(FakeWork(job))
        except Exception as error:
            job.error_code, job.hint = type(error).__name__, getattr(error, "hint", "")
            return end(job, "failed", str(error))
        return end(job, "succeeded")

    for command in ("backup", "copy", "verify", "delete"):
        monkeypatch.setattr(f"backups.management.commands.{command}.wait_for", ended)


def test_a_folder_is_added_with_its_databases(vault: Path, team: Team, tmp_path: Path) -> None:
    make_file(tmp_path / "shop.db")
    make_file(tmp_path / "scratch.db")
    address = f"sqlite:///{tmp_path}"

    found = run_json("add_server", address, "--name", "Shop", "--exclude", "scratch*")

    assert found["databases"] == ["scratch.db", "shop.db"] and found["version"]
    server = Server.objects.get()
    assert (server.team, server.folder, server.exclude) == (team, str(tmp_path), "scratch*")
    assert server.databases.filter(is_included=True).get().name == "shop.db"
    assert AuditEntry.objects.filter(action="server.add", via="command").exists()


def test_a_postgresql_server_is_added_with_its_password_sealed(
    vault: Path, team: Team, postgres_database: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(postgres_server.password.reveal() + "\n")
    file.chmod(0o600)

    found = run_json(
        "add_server", postgres_server.url("postgres"), "--name", "PG", "--password-file", str(file)
    )

    assert postgres_database in found["databases"] and found["findings"] == []
    server = Server.objects.get()
    assert secrets.decrypt_field(server, "password") == postgres_server.password.reveal()
    assert server.password.startswith("v1:")


def test_a_pooler_that_shares_sessions_is_not_added(
    vault: Path, team: Team, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(postgres_server.password.reveal())
    file.chmod(0o600)
    with pooler(postgres_server, "transaction") as there:
        address = f"postgresql://{there.user}@{there.host}:{there.port}/postgres?sslmode=disable"
        found = run_json("add_server", address, "--name", "PG", "--password-file", str(file))
    assert found["status"] == 2 and "pooler in transaction mode" in found["error"]["message"]
    assert "PostgreSQL server itself" in found["error"]["hint"] and not Server.objects.exists()


def test_missing_rights_are_printed_with_what_to_run(
    vault: Path,
    team: Team,
    postgres_server: PostgresServer,
    postgres_role: Callable[..., PostgresRole],
    postgres_database: str,
    tmp_path: Path,
) -> None:
    postgres_server.execute(postgres_database, "CREATE TABLE orders (id int)")
    role = postgres_role()
    file = tmp_path / "password"
    file.write_text(role.password.reveal())
    file.chmod(0o600)
    address = postgres_server.url("postgres", role.name)

    status, out, _ = run("add_server", address, "--name", "PG", "--password-file", str(file))
    assert status == 0 and f"GRANT SELECT ON TABLE public.orders TO {role.name};" in out


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("sqlite:////nowhere/at/all", 6),
        ("sqlite://relative", 2),
        ("postgresql://u@169.254.169.254/x", 2),
        ("postgresql://u:secret-canary@127.0.0.1/x", 2),
        ("postgresql://u@host.invalid/x", 6),
        ("postgresql://u@127.0.0.1:1/x", 6),
        ("mysql://u@host.invalid/x", 6),
        ("oracle://u@h/x", 2),
    ],
)
def test_a_server_that_cannot_be_reached_leaves_nothing_behind(
    vault: Path, team: Team, address: str, status: int
) -> None:
    found = run_json("add_server", address, "--name", "X")
    assert found["status"] == status and found["error"]["message"]
    assert not Server.objects.exists() and "canary" not in json.dumps(found)


def test_a_password_file_that_others_may_read_is_refused(
    vault: Path, team: Team, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("x")
    (tmp_path / "password").chmod(0o644)
    address = "postgresql://u@127.0.0.1:1/x"
    file = str(tmp_path / "password")
    status, _, err = run("add_server", address, "--name", "X", "--password-file", file)
    assert status == 2 and "chmod 600" in err


def test_a_backup_without_wait_is_a_job(shop: Database, repository: Repository) -> None:
    found = run_json("backup", "Shop/shop.db", "--note", "by hand")
    backup = Backup.objects.get()
    assert found == {"status": 0, "job": backup.job.pk, "backup": str(backup.pk)}
    assert (backup.note, backup.state) == ("by hand", "pending")


def test_a_backup_with_wait_says_what_came_of_it(
    shop: Database, repository: Repository, at_once: None
) -> None:
    found = run_json("backup", "shop.db", "--wait", "--codec", "gzip:1", "--repo", "first")
    assert (found["state"], found["rows"], found["codec"]) == ("available", 500, "gzip:1")
    assert found["copies"] == [{"repository": "first", "state": "stored", "problem": ""}]
    status, out, _ = run("backup", "shop.db", "--wait")
    assert status == 0 and "1 table with 500 rows" in out and "copy in first: stored" in out


def test_a_backup_that_fails_ends_with_the_status_of_its_error(
    shop: Database, repository: Repository, at_once: None
) -> None:
    (Path(shop.server.folder) / "shop.db").unlink()
    found = run_json("backup", "shop.db", "--wait")
    assert found["status"] == 6 and found["error"]["code"] == "DatabaseUnavailable"


def test_a_degraded_backup_ends_with_the_status_of_a_missing_copy(
    shop: Database, repository: Repository, vault: Path, team: Team, at_once: None
) -> None:
    make_repository(team, vault / "away")
    (vault / "away").rename(vault / "unmounted")
    found = run_json("backup", "shop.db", "--wait", "--repo", "first", "--repo", "away")
    assert (found["status"], found["state"]) == (5, "degraded")


@pytest.mark.parametrize("arguments", [["nowhere"], ["Shop/other"], ["shop.db", "--repo", "none"]])
def test_what_is_not_there_is_named(
    shop: Database, repository: Repository, arguments: list[str]
) -> None:
    found = run_json("backup", *arguments)
    assert found["status"] == 2 and "there is no" in found["error"]["message"]
    assert found["error"]["hint"]


def test_a_locked_catalog_ends_with_the_status_of_a_missing_key(
    shop: Database, repository: Repository, vault: Path
) -> None:
    (vault / "catalog-keys").unlink()
    assert run_json("backup", "shop.db")["status"] == 4
    assert run_json("check_secrets")["error"]["code"] == "SecretsLocked"


def test_verify_and_delete_go_by_a_few_digits_of_the_id(
    shop: Database, repository: Repository, at_once: None
) -> None:
    digits = run_json("backup", "shop.db", "--wait")["id"][:8]
    verified = run_json("verify", digits, "--wait")
    assert verified["ok"] and verified["copies"][0]["state"] == "verified"
    assert run("delete", digits, "--wait")[0] == 2  # not without --yes
    assert run("delete", digits, "--yes", "--wait")[0] == 0
    assert not Backup.objects.exists()


def test_damage_ends_with_the_status_of_damage(
    shop: Database, repository: Repository, vault: Path, at_once: None
) -> None:
    digits = run_json("backup", "shop.db", "--wait")["id"][:8]
    next((vault / "first" / "b").rglob("main.sqlite.zst.cvb")).write_bytes(b"x")
    found = run_json("verify", digits, "--wait", "--level", "checksum")
    assert found["status"] == 3 and found["error"]["code"] == "IntegrityError"


def test_a_pinned_backup_is_not_deleted_by_a_command_either(
    shop: Database, repository: Repository
) -> None:
    backup = make_backup_row(shop, repository=repository, is_pinned=True)
    found = run_json("delete", str(backup.pk), "--yes")
    assert (found["status"], found["error"]["code"]) == (7, "Held")


def test_list_filters_and_pages(shop: Database, repository: Repository) -> None:
    for number in range(5):
        make_backup_row(shop, note=f"n{number}")
    first = run_json("list", "--limit", "2")
    rest = run_json("list", "--limit", "9", "--cursor", first["next"])
    listed = [row["id"] for row in first["backups"] + rest["backups"]]
    assert len(set(listed)) == 5 and rest["next"] == ""
    assert len(run_json("list", "--search", "n3")["backups"]) == 1
    assert run_json("list", "--state", "failed")["backups"] == []
    status, out, _ = run("list", "--limit", "2")
    assert status == 0 and "Shop/shop.db" in out and "--cursor" in out


def test_show_prints_one_backup_with_its_contents(
    shop: Database, repository: Repository, at_once: None
) -> None:
    made = run_json("backup", "shop.db", "--wait", "--note", "by hand")
    found = run_json("show", "latest")
    assert (found["id"], found["state"], found["rows"]) == (made["id"], "available", 500)
    assert [table["rows"] for table in found["inventory"]["tables"]] == [500]
    assert found["copies"] == [{"repository": "first", "state": "stored", "problem": ""}]
    status, out, _ = run("show", made["id"][:8])
    assert status == 0 and "note: by hand" in out and "500 rows" in out
    assert run("show", "nothing")[0] == 2
    assert run_json("show", "latest", "--database", "Shop/shop.db")["id"] == made["id"]
    other = make_database(shop.server, name="other.db")
    assert run("show", "latest", "--database", str(other))[0] == 2


def test_names_cannot_steer_a_terminal(team: Team) -> None:
    server = make_server(team, name="\x1b[2Jred")
    make_backup_row(make_database(server, name="a\u202eb\r\x07"))
    _, out, _ = run("list")
    assert not set(out) & {"\x1b", "\u202e", "\r", "\x07"}
    assert printable_text("plain ü") == "plain ü"


def test_every_secret_is_checked_and_none_is_shown(
    shop: Database, repository: Repository, team: Team
) -> None:
    server = make_server(team)
    secrets.encrypt_field(server, "password", "hunter2-canary")
    status, out, _ = run("check_secrets")
    assert status == 0 and "3 secrets can be opened" in out and "canary" not in out

    moved = make_server(team, name="moved")
    Server.objects.filter(pk=moved.pk).update(password=server.password)
    status, out, _ = run("check_secrets")
    assert status == 3 and "moved: " in out


def test_a_name_that_several_have_must_be_said_in_full(team: Team, other_team: Team) -> None:
    for owner in (team, other_team):
        make_database(make_server(owner, name=f"of {owner}"), name="shop")
    with pytest.raises(BadSetting, match="several are called"):
        find_database("shop")
    assert find_database("of crew/shop").server.team == team
    with pytest.raises(BadSetting, match="several"):
        find_team("")
    assert find_team("crew") == team


def test_a_backup_is_found_by_label_id_and_digits(shop: Database) -> None:
    backup = make_backup_row(shop)
    for text in (backup.label, str(backup.pk), backup.pk.hex[:6], str(backup.pk).upper(), "latest"):
        assert find_backup(text) == backup
    for text in ("abc", "zzzz", "", "0" * 33):
        with pytest.raises(BadSetting):
            find_backup(text)


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [
        ("succeeded", "", 0),
        ("cancelled", "", 130),
        ("interrupted", "Interrupted", 1),
        ("failed", "StorageUnavailable", 5),
        ("failed", "UnknownRecipient", 4),
        ("failed", "ValueError", 1),
        ("failed", "annotations", 1),
    ],
)
def test_the_end_of_a_job_has_an_exit_status(
    team: Team, state: str, code: str, status: int
) -> None:
    assert status_of(make_job(team, state=state, error_code=code)) == status


def test_waiting_shows_the_log_and_ends_with_the_job(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job(team, state="failed", phase="storing main.sqlite", done_bytes=10)
    JobEvent.objects.create(job=job, at=job.run_after, kind="note", text="the disk is slow")
    assert wait_for(job, quiet=False) == job
    shown = capsys.readouterr().err
    assert "storing main.sqlite" in shown and "the disk is slow" in shown


def test_a_catalog_is_rebuilt_from_a_folder_that_is_not_registered(
    shop: Database, repository: Repository, team: Team, keys: Path
) -> None:
    backup = request_backup(shop, user=None)
    tasks.run_backup(FakeWork(backup.job))
    label, url = reload(backup).label, repository.url
    Backup.objects.all().delete()
    Repository.objects.all().delete()

    found = run_json("rebuild_catalog", url, "--key-file", str(keys))

    assert found["added"] == [label] and found["sealed"] == []
    assert Backup.objects.get().row_count == 500


def test_a_typing_error_in_the_address_makes_no_repository(vault: Path, team: Team) -> None:
    status, _, err = run("rebuild_catalog", f"file://{vault}/frist")
    assert status == 2 and "not a repository" in err
    assert not Repository.objects.exists() and not (vault / "frist").exists()


@pytest.mark.usefixtures("at_once")
def test_copy_makes_copies_where_they_are_missing(
    shop: Database, repository: Repository, vault: Path, team: Team
) -> None:
    label = run_json("backup", "shop.db", "--wait", "--quiet")["label"]
    assert run("copy", label)[0] != 0, "nothing is missing"
    make_repository(team, vault / "second")
    status, out, _ = run("copy", label, "--to", "second")
    assert status == 0 and f"will copy {label} to second" in out
    found = run_json("copy", label, "--wait", "--quiet")
    assert [copy["state"] for copy in found["copies"]] == ["stored", "stored"]
    assert AuditEntry.objects.filter(action="backup.copy").count() == 2
