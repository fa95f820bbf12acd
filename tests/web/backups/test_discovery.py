"""Finding the databases of servers, and naming the rights that are missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql

from backups.discovery import discover, is_wanted
from backups.models import Database, Repository, Server
from backups.onboarding import save_server
from backups.probing import probe_server
from backups.services import request_backup
from covetbackup.access.models import Team
from covetbackup.core.databases.checks import Level
from covetbackup.core.errors import BadSetting, DatabaseUnavailable
from tests.support.postgres import PostgresRole, PostgresServer
from tests.web.catalog import make_file, postgres_at, sqlite_server
from tests.web.factories import make_server

pytest_plugins = ["tests.web.catalog_fixtures"]
Role = Callable[..., PostgresRole]


def states(server: Server) -> dict[str, str]:
    return dict(server.databases.values_list("name", "state"))


@pytest.mark.parametrize(
    ("name", "include", "exclude", "wanted"),
    [
        ("shop", "", "", True),
        ("shop", "shop", "", True),
        ("shop", "sh*\nother", "", True),
        ("shop", "other", "", False),
        ("shop", "", "shop", False),
        ("shop", "sh*", "*op", False),
        ("shop", "\n  \n", "  ", True),
        ("Shop", "shop", "", False),
        ("a[b]", "a[[]b]", "", True),
        ("x\ny", "x*", "", True),
        ("shop_replaced_20260301_120000", "", "", False),
        ("shop_replaced_20260301_120000_2.db", "sh*", "", False),
        ("shop_replaced_20260301_120000", "*_replaced_*", "", True),
        ("shop_replaced", "", "", True),
    ],
)
def test_patterns_decide_what_is_included(
    name: str, include: str, exclude: str, wanted: bool
) -> None:
    assert is_wanted(name, include, exclude) is wanted


def test_files_that_are_sqlite_databases_are_found_and_others_not(
    team: Team, tmp_path: Path
) -> None:
    server = sqlite_server(team, tmp_path / "data")
    make_file(tmp_path / "data" / "shop.db")
    make_file(tmp_path / "data" / "no suffix <script>")
    (tmp_path / "data" / "notes.db").write_text("not a database at all")
    (tmp_path / "data" / "empty.db").touch()
    (tmp_path / "data" / "link.db").symlink_to(tmp_path / "data" / "shop.db")
    (tmp_path / "data" / "folder.db").mkdir()

    found = discover(server)

    assert found.present == ("no suffix <script>", "shop.db") == found.added
    shop = server.databases.get(name="shop.db")
    assert shop.size_bytes == (tmp_path / "data" / "shop.db").stat().st_size
    assert not shop.is_new  # nothing is new in a server that is new itself


def test_a_new_file_is_flagged_and_a_removed_one_is_gone_with_its_row_kept(
    team: Team, tmp_path: Path
) -> None:
    server = sqlite_server(team, tmp_path / "data")
    old = make_file(tmp_path / "data" / "old.db")
    discover(server)
    make_file(tmp_path / "data" / "new.db")
    old.rename(tmp_path / "away.db")

    found = discover(server)
    assert (found.added, found.gone, found.returned) == (("new.db",), ("old.db",), ())
    assert states(server) == {"new.db": "present", "old.db": "gone"}
    assert server.databases.get(name="new.db").is_new

    (tmp_path / "away.db").rename(old)
    assert discover(server).returned == ("old.db",)
    assert states(server) == {"new.db": "present", "old.db": "present"}


def test_a_folder_that_cannot_be_listed_makes_nothing_gone(team: Team, tmp_path: Path) -> None:
    server = sqlite_server(team, tmp_path / "data")
    make_file(tmp_path / "data" / "shop.db")
    discover(server)
    (tmp_path / "data").rename(tmp_path / "unmounted")

    with pytest.raises(DatabaseUnavailable, match="cannot be listed") as caught:
        discover(server)
    assert caught.value.hint
    server.refresh_from_db()
    assert states(server) == {"shop.db": "present"} and "cannot be listed" in server.problem


def test_a_file_whose_name_is_no_text_is_reported_not_registered(
    team: Team, tmp_path: Path
) -> None:
    server = sqlite_server(team, tmp_path / "data")
    make_file(tmp_path / "data" / "x.db")
    os.rename(tmp_path / "data" / "x.db", os.fsencode(tmp_path / "data") + b"/\xff.db")

    assert discover(server).present == ()
    assert "UTF-8" in probe_server(server).checks[0].detail


def test_a_database_that_is_gone_cannot_be_backed_up(
    team: Team, tmp_path: Path, repository: Repository
) -> None:
    server = sqlite_server(team, tmp_path / "data")
    make_file(tmp_path / "data" / "shop.db").rename(tmp_path / "data" / "other")
    discover(server)
    (tmp_path / "data" / "other").unlink()
    discover(server)
    with pytest.raises(BadSetting, match="gone"):
        request_backup(Database.objects.get(name="other"), user=None)


def test_databases_of_a_postgresql_server_come_and_go(
    vault: Path, team: Team, postgres_tidy: PostgresServer, postgres_database: str
) -> None:
    server = postgres_at(team, postgres_tidy)
    server.exclude = "postgres"
    first = discover(server)
    assert postgres_database in first.added and "template1" not in first.present
    assert not server.databases.get(name="postgres").is_included
    assert (server.databases.get(name=postgres_database).size_bytes or 0) > 1_000_000

    nasty = postgres_tidy.create_database("host=evil 'x' <b>%\"")
    with postgres_tidy.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(postgres_database)))
    found = discover(server)
    assert (found.added, found.gone) == ((nasty,), (postgres_database,))
    assert server.databases.get(name=nasty).is_new
    assert states(server)[postgres_database] == "gone"


def test_a_test_of_a_superuser_finds_nothing_missing(
    vault: Path, team: Team, postgres_server: PostgresServer
) -> None:
    server = postgres_at(team, postgres_server)
    check = probe_server(server)
    assert check.is_ok and check.checks == () and check.tool_version
    server.refresh_from_db()
    assert server.version.startswith(str(postgres_server.major)) and server.problem == ""


def test_missing_rights_are_named_with_the_grants_that_give_them(
    vault: Path,
    team: Team,
    postgres_tidy: PostgresServer,
    postgres_database: str,
    postgres_role: Role,
) -> None:
    postgres_tidy.execute(
        postgres_database, "CREATE TABLE secret_orders (id int)", "CREATE SEQUENCE numbers"
    )
    closed = postgres_tidy.create_database("closed Shop")
    postgres_tidy.execute("postgres", f'REVOKE CONNECT ON DATABASE "{closed}" FROM PUBLIC')
    role = postgres_role()
    server = postgres_at(team, postgres_tidy, role)

    check = probe_server(server)

    fixes = "\n".join(finding.fix for finding in check.checks)
    assert f'GRANT CONNECT ON DATABASE "{closed}" TO {role.name};' in fixes
    assert f"GRANT SELECT ON TABLE public.secret_orders TO {role.name};" in fixes
    assert f"GRANT SELECT ON SEQUENCE public.numbers TO {role.name};" in fixes
    assert f"GRANT pg_read_all_data TO {role.name};" in fixes
    assert [f.fix for f in check.checks if f.level is Level.WARNING] == [
        f"ALTER ROLE {role.name} CREATEDB;"
    ]
    assert not check.is_ok


def test_running_the_grants_makes_the_test_pass(
    vault: Path,
    team: Team,
    postgres_tidy: PostgresServer,
    postgres_database: str,
    postgres_role: Role,
) -> None:
    postgres_tidy.execute(postgres_database, "CREATE TABLE orders (id int)")
    server = postgres_at(team, postgres_tidy, postgres_role())
    server.include = postgres_database  # the server is shared with other tests' databases
    for finding in probe_server(server).checks:
        for line in finding.fix.splitlines():
            if not line.startswith("--"):
                postgres_tidy.execute(postgres_database, line)

    assert probe_server(server).checks == ()


def test_a_wrong_password_is_said_and_not_shown(
    vault: Path, team: Team, postgres_server: PostgresServer
) -> None:
    server = save_server(postgres_at(team, postgres_server), "hunter2-canary")
    with pytest.raises(DatabaseUnavailable, match="password") as caught:
        probe_server(server)
    server.refresh_from_db()
    assert "password" in server.problem and "canary" not in f"{server.problem} {caught.value!r}"


def test_a_server_that_does_not_answer_keeps_nobody_waiting(
    vault: Path, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backups.probing._LIMIT_SECONDS", 0.2)
    server = make_server(team, host="192.0.2.1")  # TEST-NET: nobody is there
    with pytest.raises(DatabaseUnavailable):
        probe_server(server)
    server.refresh_from_db()
    assert server.problem
