"""MySQL and MariaDB servers in the catalog: found, tested, backed up and restored."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import reverse

from backups.discovery import discover
from backups.models import Database, Server
from backups.onboarding import save_server
from backups.probing import probe_server
from covetbackup.access.models import Team, User
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.mysql.restore.scratch import PREFIX
from covetbackup.core.errors import BadSetting, Cancelled, DatabaseUnavailable
from restores.confirmation import command_of
from restores.preflight import preflight
from restores.result import TargetContent, leftovers_of, summary_of
from restores.selection_options import items_of, selection_of
from restores.target_server import connect_command, features_of, refuse_name
from tests.support.mariadb import MakeUser, MysqlServer, MysqlUser, create_database
from tests.support.mariadb_backup import contents, fill_richly
from tests.support.mysql_references import event_states
from tests.web.conftest import ClientOf
from tests.web.factories import make_database, make_server
from tests.web.restores_helper import asked, ended, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
CANARY = "hunter2-canary"


def mariadb_at(team: Team, server: MysqlServer, user: MysqlUser | None = None) -> Server:
    """The test server in the catalog, with its password sealed."""
    row = make_server(
        team,
        kind="mysql",
        host="127.0.0.1",
        port=server.port,
        user=user.name if user else "root",
        sslmode="disable",
        maintenance_database="",
    )
    return save_server(row, (user.password if user else server.password).reveal())


@pytest.fixture
def source(
    repository: object, team: Team, mariadb_tidy: MysqlServer, mariadb_database: str
) -> Database:
    mariadb_tidy.execute(
        mariadb_database,
        "CREATE TABLE item AS SELECT seq AS id, concat('item ', seq) AS name FROM seq_1_to_1200",
        "CREATE VIEW note AS SELECT 1 AS id",
    )
    return make_database(mariadb_at(team, mariadb_tidy), name=mariadb_database)


def copy_of(database: Database) -> str:
    return f"{database.name}_copy"


def test_its_databases_are_found_and_the_servers_own_are_not(
    vault: Path, team: Team, mariadb_tidy: MysqlServer
) -> None:
    for name in ("shop", "it's a shop", f"{PREFIX}20260101t000000z_00c0ffee"):
        create_database(mariadb_tidy, name)
    found = discover(mariadb_at(team, mariadb_tidy))
    assert {"shop", "it's a shop"} <= set(found.present)
    assert not any(name.startswith((PREFIX, "mysql", "sys", "inf")) for name in found.present)


def test_a_test_as_root_finds_nothing_missing(
    vault: Path, team: Team, mariadb_server: MysqlServer
) -> None:
    server = mariadb_at(team, mariadb_server)
    check = probe_server(server)
    assert check.is_ok and check.checks == () and "MariaDB" in check.tool_version
    server.refresh_from_db()
    assert "MariaDB" in server.version and server.problem == ""


def test_running_the_grants_makes_the_test_pass(
    vault: Path, team: Team, mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    database = create_database(mariadb_tidy)
    mariadb_tidy.execute(database, "CREATE TABLE secret_orders (id int)")
    user = mariadb_user(f"INSERT ON {database}.*")
    server = mariadb_at(team, mariadb_tidy, user)
    check = probe_server(server)
    assert not check.is_ok
    titles = [finding.title for finding in check.checks]
    assert f"Database {database} cannot be read whole" in titles
    assert any("secret_orders" in finding.detail for finding in check.checks)
    for finding in check.checks:
        for line in finding.fix.splitlines():
            mariadb_tidy.execute(None, line.rstrip(";"))
    assert probe_server(server).checks == ()


def test_a_wrong_password_is_said_and_not_shown(
    vault: Path, team: Team, mariadb_server: MysqlServer
) -> None:
    server = save_server(mariadb_at(team, mariadb_server), CANARY)
    with pytest.raises(DatabaseUnavailable, match="password") as caught:
        probe_server(server)
    server.refresh_from_db()
    assert "password" in server.problem and CANARY not in f"{server.problem} {caught.value!r}"


def test_a_rich_database_comes_back_equal(
    repository: object, team: Team, mariadb_tidy: MysqlServer, mariadb_database: str
) -> None:
    fill_richly(mariadb_tidy, mariadb_database)
    database = make_database(mariadb_at(team, mariadb_tidy), name=mariadb_database)
    restore = asked(plan_for(taken(database), copy_of(database), jobs=2))
    run(restore)
    assert contents(mariadb_tidy, copy_of(database)) == contents(mariadb_tidy, mariadb_database)
    assert "all as in the backup" in summary_of(restore).sentence
    assert database.server.databases.filter(name=copy_of(database), state="present").exists()


@pytest.mark.parametrize("phase", ["restoring", "comparing", "making"])
def test_a_cancelled_restore_leaves_no_database(
    phase: str, source: Database, mariadb_tidy: MysqlServer
) -> None:
    before = mariadb_tidy.databases()
    restore = asked(plan_for(taken(source), copy_of(source)))
    with pytest.raises(Cancelled):
        run(restore, cancel_at=phase)
    assert mariadb_tidy.databases() == before
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_a_scratch_database_of_a_dead_restore_is_swept_when_its_end_is_recorded(
    source: Database, mariadb_tidy: MysqlServer
) -> None:
    restore = asked(plan_for(taken(source), copy_of(source)))
    scratch = create_database(mariadb_tidy, f"{PREFIX}20260101t000000z_00c0ffee")
    ended(restore, "interrupted", "the runner died")
    assert scratch not in mariadb_tidy.databases()
    assert leftovers_of(restore).swept == [scratch]


def test_a_sound_plan_fails_no_check(source: Database) -> None:
    checks = preflight(plan_for(taken(source), copy_of(source)))
    by_title = {check.title: check.level for check in checks}
    assert by_title["Target server"] is Level.PASS
    assert by_title["Version"] is Level.PASS
    assert by_title["Client programs"] is Level.PASS
    assert by_title["Privileges"] is Level.PASS
    assert Level.FAIL not in by_title.values()


def test_a_taken_name_and_missing_rights_are_found_beforehand(
    source: Database, mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    backup = taken(source)
    user = mariadb_user(f"ALL ON {source.name}.*")
    server = mariadb_at(source.server.team, mariadb_tidy, user)
    checks = preflight(plan_for(backup, source.name, server=server))
    failed = {check.title: check for check in checks if check.level is Level.FAIL}
    assert set(failed) == {"Name", "Privileges"}
    mariadb_tidy.execute(None, failed["Privileges"].fix.rstrip(";"))
    checks = preflight(plan_for(backup, source.name, server=server))
    assert [check.title for check in checks if check.level is Level.FAIL] == ["Name"]


@pytest.mark.parametrize("name", ["", "x" * 65, "mysql", "Sys", f"{PREFIX}x", "line\nend", "end "])
def test_a_name_that_no_database_may_have_is_refused(team: Team, name: str) -> None:
    server = Server(team=team, kind="mysql", name="x", host="h")
    with pytest.raises(BadSetting):
        refuse_name(server, name)


def test_a_name_with_an_addition_stays_short_enough(team: Team) -> None:
    server = Server(team=team, kind="mysql", name="x", host="h")
    assert features_of(server).name_with_suffix("☃" * 64, "_20260101") == "☃" * 55 + "_20260101"


def test_the_command_to_connect_holds_no_password(team: Team, mariadb_server: MysqlServer) -> None:
    server = Server(
        team=team,
        kind="mysql",
        name="x",
        host="db.example.com",
        port=3306,
        user="me",
        version="10.11.4-MariaDB",
    )
    assert connect_command(server, "shop") == (
        "mariadb --host=db.example.com --port=3306 --user=me --password shop"
    )


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_server_is_added_by_its_address(
    vault: Path,
    keys: Path,
    team: Team,
    mariadb_tidy: MysqlServer,
    mariadb_database: str,
    tmp_path: Path,
    scheme: str,
) -> None:
    file = tmp_path / "password"
    file.write_text(mariadb_tidy.password.reveal())
    file.chmod(0o600)
    address = f"{scheme}://root@127.0.0.1:{mariadb_tidy.port}/?sslmode=disable"
    call_command(
        "add_server",
        address,
        "--name",
        "Maria",
        "--password-file",
        str(file),
        "--json",
        verbosity=0,
    )
    server = Server.objects.get(name="Maria")
    assert (server.kind, server.host, server.sslmode) == ("mysql", "127.0.0.1", "disable")
    assert server.databases.filter(name=mariadb_database).exists()


def test_the_form_tests_and_saves_a_server(
    vault: Path,
    team: Team,
    admin: User,
    client_of: ClientOf,
    mariadb_tidy: MysqlServer,
    mariadb_database: str,
) -> None:
    client = client_of(admin)
    page = client.get(reverse("server-add"), {"kind": "mysql"})
    assert b'value="3306"' in page.content
    assert b"maintenance_database" not in page.content
    entered = {
        "team": str(team.pk),
        "name": "Maria",
        "host": "127.0.0.1",
        "port": str(mariadb_tidy.port),
        "user": "root",
        "password": CANARY,
        "sslmode": "disable",
        "queue": "jobs",
    }
    url = f"{reverse('server-add')}?kind=mysql"
    refused = client.post(url, entered)
    assert refused.status_code == 422
    assert b"Access denied" in refused.content
    assert CANARY.encode() not in refused.content
    saved = client.post(url, entered | {"password": mariadb_tidy.password.reveal()})
    server = Server.objects.get(name="Maria")
    assert saved.status_code == 302
    assert server.kind == "mysql"
    assert server.databases.filter(name=mariadb_database).exists()
    shown = client.get(reverse("server", args=[server.pk]))
    assert b"MySQL / MariaDB" in shown.content


def test_some_tables_of_a_backup_come_alone(source: Database, mariadb_tidy: MysqlServer) -> None:
    name = "<b>, 'x' `y`"
    quoted = "`" + name.replace("`", "``") + "`"
    mariadb_tidy.execute(source.name, f"CREATE TABLE {quoted} AS SELECT 7 AS id")
    backup, copy = taken(source), copy_of(source)
    key = next(key for key, item in items_of(backup).items() if item.name == name)
    plan = plan_for(backup, copy, selection=selection_of(backup, [key], with_data=True))
    found = {check.title: check for check in preflight(plan)}
    assert found["Selection"].detail.startswith("1 of 2 tables: 1 row")
    assert "not restored with single tables" in found["Undetectable dependencies"].detail
    restore = asked(plan)
    run(restore)
    restore.refresh_from_db()
    assert mariadb_tidy.rows(copy, "SHOW TABLES") == [(name,)]
    assert mariadb_tidy.rows(copy, f"SELECT id FROM {quoted}") == [(7,)]
    assert summary_of(restore).sentence == "1 of 2 tables with 1 row, all as in the backup"


def test_missing_accounts_are_named_beforehand_and_created_if_asked_for(
    source: Database, mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    owner = mariadb_user(f"SELECT ON {source.name}.*")
    mariadb_tidy.execute(
        source.name, f"CREATE DEFINER = {owner.name}@'%' VIEW seen AS SELECT id FROM item"
    )
    backup, copy = taken(source), copy_of(source)
    mariadb_tidy.execute(None, f"DROP USER {owner.name}@'%'")
    plan = plan_for(backup, copy)
    [check] = [check for check in preflight(plan) if owner.name in check.detail]
    assert (check.level, "will fail when used" in check.detail) == (Level.WARNING, True)
    plan = plan_for(backup, copy, create_roles=True)
    [check] = [check for check in preflight(plan) if owner.name in check.detail]
    assert "will be created" in check.detail
    run(asked(plan))
    with mariadb_tidy.connect(copy, user=owner) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT id FROM seen") == 1200


def test_an_account_that_may_create_none_is_told_so(
    source: Database, mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    backup, user = taken(source), mariadb_user("SELECT ON *.*")
    server = mariadb_at(source.server.team, mariadb_tidy, user)
    plan = plan_for(backup, copy_of(source), server=server, create_roles=True)
    [check] = [check for check in preflight(plan) if check.title == "Accounts"]
    mariadb_tidy.execute(None, check.fix.rstrip(".;"))
    assert "Accounts" not in [check.title for check in preflight(plan)]


def test_what_of_a_copy_acts_on_the_original_is_said_beforehand(
    source: Database, mariadb_tidy: MysqlServer
) -> None:
    """And its events run only if that was asked for."""
    name = source.name
    mariadb_tidy.execute(
        name,
        f"CREATE VIEW seen AS SELECT i.id FROM {name}.item i JOIN mysql.help_topic t USING (name)",
        "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01'"
        f" DO DELETE FROM {name}.item",
    )
    backup, copy = taken(source), copy_of(source)
    found = {check.title: check for check in preflight(plan_for(backup, copy))}
    assert found["Other databases"].level is Level.PASS
    assert "event nightly" in found["Original"].detail
    assert found["Events"].level is Level.WARNING
    plan = plan_for(backup, copy, options=("enable_events",))
    assert "Events" not in {check.title for check in preflight(plan)}
    assert "--enable-events" in command_of(plan)
    restore = asked(plan)
    run(restore)
    restore.refresh_from_db()
    (problem,) = summary_of(restore).problems
    assert "event nightly" in problem
    assert event_states(mariadb_tidy, copy) == {"nightly": "ENABLED"}


def test_the_form_asks_for_events_only_where_there_are_some(
    source: Database, client_of: ClientOf, admin: User
) -> None:
    backup = taken(source)
    page = client_of(admin).get(reverse("restore-start", args=[backup.pk])).content.decode()
    assert 'name="enable_events"' in page and "checked" not in page
