"""Restores of PostgreSQL databases through the catalog, and what their checks find beforehand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import sql

from backups.models import Backup, Database
from covetbackup.access.models import Team
from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.restore.losses import losses
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.errors import BadSetting, Cancelled, TargetNotEmpty
from restores.preflight import preflight
from restores.result import ResultStage, TargetContent, explanation, leftovers_of, summary_of
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import contents, fill_richly
from tests.web.catalog import postgres_at
from tests.web.factories import make_database, make_server
from tests.web.restores_helper import asked, ended, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")
MakeRole = Callable[..., PostgresRole]


@pytest.fixture
def source(team: Team, postgres_tidy: PostgresServer, postgres_database: str) -> Database:
    """A database with two tables, of which one belongs to another role."""
    postgres_tidy.execute(
        postgres_database,
        "CREATE TABLE item (id serial PRIMARY KEY, name text)",
        "INSERT INTO item (name) SELECT 'item ' || g FROM generate_series(1, 1200) g",
        "CREATE TABLE note AS SELECT 1 AS id",
    )
    return make_database(postgres_at(team, postgres_tidy), name=postgres_database)


def copy_of(database: Database) -> str:
    return f"{database.name}_copy"


def scratches(server: PostgresServer) -> list[str]:
    return [name for name in server.databases() if name.startswith(PREFIX)]


def found(title: str, checks: list[Check], level: Level = Level.FAIL) -> Check:
    [check] = [check for check in checks if check.title == title and check.level is level]
    return check


def test_a_rich_database_comes_back_equal(
    team: Team, postgres_tidy: PostgresServer, postgres_database: str
) -> None:
    fill_richly(postgres_tidy, postgres_database)
    database = make_database(postgres_at(team, postgres_tidy), name=postgres_database)
    restore = asked(plan_for(taken(database), copy_of(database)))
    run(restore)
    copy = copy_of(database)
    assert contents(postgres_tidy, copy) == contents(postgres_tidy, postgres_database)
    assert scratches(postgres_tidy) == []
    assert "all as in the backup" in summary_of(restore).sentence
    assert database.server.databases.filter(name=copy, state="present").exists()


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_result_counts_what_is_there(jobs: int, source: Database) -> None:
    restore = asked(plan_for(taken(source), copy_of(source), jobs=jobs))
    run(restore)
    summary = summary_of(restore)
    assert summary.sentence == "2 tables with 1,201 rows, all as in the backup"
    assert (summary.sequences, summary.uncounted, summary.problems) == (1, 0, [])


@pytest.mark.parametrize("phase", ["restoring dump", "comparing", "making"])
def test_a_cancelled_restore_leaves_no_database(
    phase: str, source: Database, postgres_tidy: PostgresServer
) -> None:
    before = set(postgres_tidy.databases())
    restore = asked(plan_for(taken(source), copy_of(source)))
    with pytest.raises(Cancelled):
        run(restore, cancel_at=phase)
    assert set(postgres_tidy.databases()) == before
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_a_scratch_database_of_a_dead_restore_is_swept_when_its_end_is_recorded(
    source: Database, postgres_tidy: PostgresServer
) -> None:
    restore = asked(plan_for(taken(source), copy_of(source)))
    scratch = postgres_tidy.create_database(f"{PREFIX}20260101t000000z_00c0ffee")
    ended(restore, "interrupted", "the runner died")
    assert scratches(postgres_tidy) == []
    assert leftovers_of(restore).swept == [scratch]


def test_a_restore_that_died_at_its_last_step_is_looked_for(
    source: Database, postgres_tidy: PostgresServer
) -> None:
    restore = asked(plan_for(taken(source), copy_of(source)))
    restore.result = {"state": ResultStage.PUBLISHING.value}
    restore.save()
    postgres_tidy.create_database(copy_of(source))
    ended(restore, "interrupted", "the runner died")
    assert leftovers_of(restore).kept is TargetContent.TARGET
    assert f"{copy_of(source)} exists on the target server" in explanation(restore)


def test_a_database_made_meanwhile_is_left_alone(
    source: Database, postgres_tidy: PostgresServer
) -> None:
    restore = asked(plan_for(taken(source), copy_of(source)))
    postgres_tidy.create_database(copy_of(source))
    postgres_tidy.execute(copy_of(source), "CREATE TABLE theirs ()")
    with pytest.raises(TargetNotEmpty):
        run(restore)
    query = "SELECT relname FROM pg_class WHERE relname IN ('theirs', 'item')"
    assert postgres_tidy.rows(copy_of(source), query) == [("theirs",)]


def test_all_can_be_given_to_one_role(
    source: Database, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    role = postgres_role()
    run(asked(plan_for(taken(source), copy_of(source), owner=role.name)))
    query = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'"
    assert postgres_tidy.rows(copy_of(source), query) == [(role.name,)]


def test_a_sound_plan_fails_no_check(source: Database) -> None:
    checks = preflight(plan_for(taken(source), copy_of(source)))
    by_title = {check.title: check.level for check in checks}
    assert by_title == {
        "Verified": Level.WARNING,
        "Objects": Level.PASS,
        "Key": Level.PASS,
        "Signature": Level.PASS,
        "Target server": Level.PASS,
        "Writable": Level.PASS,
        "Version": Level.PASS,
        "Client programs": Level.PASS,
        "Name": Level.PASS,
        "Extensions": Level.PASS,
        "Roles": Level.PASS,
        "Tablespaces": Level.PASS,
        "Encoding": Level.PASS,
        "Locale": Level.PASS,
        "Privileges": Level.PASS,
        "Disk space": Level.PASS,
    }


def test_a_taken_name_fails(source: Database) -> None:
    assert "exists already" in found("Name", preflight(plan_for(taken(source), source.name))).detail


def test_a_server_that_is_down_fails(source: Database, team: Team) -> None:
    away = make_server(team, host="127.0.0.1", port=1)
    checks = preflight(plan_for(taken(source), copy_of(source), server=away))
    assert found("Target server", checks).fix


def test_a_role_without_the_right_to_create_databases_is_told_the_statement(
    source: Database, team: Team, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    poor = postgres_role(name='o"dd role')
    server = postgres_at(team, postgres_tidy, poor)
    checks = preflight(plan_for(taken(source), copy_of(source), server=server, owner="none"))
    check = found("Privileges", checks)
    assert check.fix == 'ALTER ROLE "o""dd role" CREATEDB;'
    postgres_tidy.execute("postgres", check.fix)
    checks = preflight(plan_for(taken(source), copy_of(source), server=server, owner="none"))
    assert [check for check in checks if check.level is Level.FAIL] == []


def test_owners_that_cannot_be_kept_fail_with_the_grant(
    source: Database, team: Team, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    owner, creator = postgres_role(), postgres_role("CREATEDB")
    statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
    names = map(sql.Identifier, (source.name, owner.name))
    postgres_tidy.execute("postgres", statement.format(*names).as_string(None))
    server = postgres_at(team, postgres_tidy, creator)
    plan = plan_for(taken(source), copy_of(source), server=server)
    grant = found("Ownership", preflight(plan)).fix.partition(";")[0]
    postgres_tidy.execute("postgres", grant)
    assert [c.title for c in preflight(plan) if c.level is Level.FAIL] == []


def test_what_only_a_superuser_may_create_is_named_with_both_ways_out(
    source: Database, team: Team, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    statements = (
        "CREATE FUNCTION noop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE EVENT TRIGGER loud ON ddl_command_end EXECUTE FUNCTION noop()",
        "CREATE EXTENSION pageinspect; CREATE PUBLICATION everything FOR ALL TABLES",
    )
    postgres_tidy.execute(source.name, *statements)
    server = postgres_at(team, postgres_tidy, postgres_role("CREATEDB"))
    backup, name = taken(source), copy_of(source)
    plan = plan_for(backup, name, server=server, owner="none")
    check = found("Superuser", preflight(plan), Level.WARNING)
    assert "or leave out" in check.fix
    named = "extension pageinspect, publication everything, event trigger loud"
    assert f"only a superuser may create {named}." in check.detail
    skipping = plan_for(backup, name, server=server, owner="none", options=("skip_failing",))
    assert "is left out" in found("Superuser", preflight(skipping), Level.WARNING).fix
    titles = {check.title for check in preflight(plan_for(backup, name))}
    assert "Superuser" not in titles


def test_missing_roles_and_extensions_are_named(
    source: Database, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    role = postgres_role()
    table = sql.SQL("ALTER TABLE item OWNER TO {}").format(sql.Identifier(role.name))
    postgres_tidy.execute(source.name, table.as_string(None))
    backup = taken(source)
    renamed = sql.SQL("ALTER ROLE {} RENAME TO {}")
    names = map(sql.Identifier, (role.name, f"{role.name}_was"))
    postgres_tidy.execute("postgres", renamed.format(*names).as_string(None))
    plan = plan_for(backup, copy_of(source))
    assert role.name in found("Roles", preflight(plan)).detail
    with pytest.raises(BadSetting, match=role.name):
        run(asked(plan))
    run(asked(plan_for(backup, copy_of(source), owner="none")))


def test_the_plan_of_an_older_server_fails(source: Database) -> None:
    backup = taken(source)
    pretend_newer(backup)
    checks = preflight(plan_for(backup, copy_of(source)))
    assert found("Key", checks)  # the changed manifest is not believed
    assert found("Version", checks).detail.startswith("The backup is of PostgreSQL 99.1")


def pretend_newer(backup: Backup) -> None:
    """Only the catalog knows the contents, and it says that they are of a version to come."""
    backup.database.server.team.keys.all().delete()
    backup.inventory["settings"] |= {"server_version": "99.1", "dump_client": "17.0"}
    backup.save()


def test_names_that_no_database_may_have_are_refused(source: Database) -> None:
    backup = taken(source)
    for name in ("", " ", "x" * 64, "é" * 32, "a\tb", f"{PREFIX}x"):
        with pytest.raises(BadSetting):
            asked(plan_for(backup, name))


def test_a_nasty_name_is_only_a_name(source: Database, postgres_tidy: PostgresServer) -> None:
    backup = taken(source)
    for name in ("dbname=x host=evil", "qu\"o'te $(id)", "--help", "é" * 31):
        run(asked(plan_for(backup, name)))
        assert postgres_tidy.rows(name, "SELECT count(*) FROM item") == [(1200,)]


def test_what_the_backup_lacks_and_where_it_was_is_said_before(
    source: Database, postgres_tidy: PostgresServer
) -> None:
    settings = {
        "tablespace": "no_such_space",
        "mappings_without_options": '[["clerk", "far"]]',
        "subscriptions_left_out": '["follow"]',
    }
    planned = PlannedRestore(RestoreRequest("new"), Inventory(settings=settings), None)
    with postgres_tidy.connect() as connection:
        checks = list(losses(connection, planned))
    place, mapping, subscription = checks
    assert place.level is Level.WARNING and "no_such_space" in place.detail and place.fix
    assert "ALTER USER MAPPING FOR clerk SERVER far" in mapping.detail
    assert "follow" in subscription.detail
