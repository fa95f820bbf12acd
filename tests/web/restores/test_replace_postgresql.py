"""Replacing PostgreSQL databases through the catalog, and the checks before it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from psycopg import sql

from backups.models import Backup, Database
from covetbackup.access.models import Team
from covetbackup.core.databases.checks import Check, Level, is_refused
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.errors import Cancelled, Conflict, SinkFailed
from restores.models import RetainedDatabase, RetainedState
from restores.preflight import preflight
from restores.result import TargetContent, explanation, leftovers_of
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import contents
from tests.web.catalog import postgres_at
from tests.web.factories import make_database
from tests.web.replacements import (
    confirmed,
    drop_all_due,
    dropped,
    replaced,
    replacement,
    swapped_back,
    take_safety_backup,
)
from tests.web.restores_helper import asked, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")
MakeRole = Callable[..., PostgresRole]


@pytest.fixture
def source(team: Team, postgres_tidy: PostgresServer, postgres_database: str) -> Database:
    postgres_tidy.execute(
        postgres_database,
        "CREATE TABLE item AS SELECT g AS id FROM generate_series(1, 1200) g",
    )
    return make_database(postgres_at(team, postgres_tidy), name=postgres_database)


@pytest.fixture
def backup(source: Database, postgres_tidy: PostgresServer) -> Backup:
    """Of 1200 items, of which 5 were left afterwards."""
    backup = taken(source)
    postgres_tidy.execute(source.name, "DELETE FROM item WHERE id > 5")
    return backup


def items(server: PostgresServer, name: str) -> int:
    return int(server.rows(name, "SELECT count(*) FROM item")[0][0])


def beside(server: PostgresServer, name: str) -> list[str]:
    return [each for each in server.databases() if each.startswith((f"{name}_", PREFIX))]


def found(title: str, checks: list[Check]) -> Check:
    [check] = [check for check in checks if check.title == title]
    return check


def test_replaced_kept_swapped_back_and_dropped(
    backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    kept = replaced(backup)
    assert (items(postgres_tidy, source.name), items(postgres_tidy, kept.name)) == (1200, 5)
    swapped_back(kept)
    kept.refresh_from_db()
    assert (items(postgres_tidy, source.name), items(postgres_tidy, kept.name)) == (5, 1200)
    dropped(kept)
    assert beside(postgres_tidy, source.name) == []
    assert items(postgres_tidy, source.name) == 5


def test_with_clients_connected_and_a_safety_backup(
    backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    with closing(postgres_tidy.connect(source.name)) as client:
        client.execute("SET application_name = 'till 7'")
        plan = replacement(backup)
        check = found("Live sessions", preflight(plan))
        assert (check.level, check.detail[:1]) == (Level.WARNING, "1")
        restore = confirmed(plan, safety=True)
        take_safety_backup(restore)
        run(restore)
    assert items(postgres_tidy, source.name) == 1200
    assert Backup.objects.get(pk=restore.safety_backup_id).row_count == 5


@pytest.mark.parametrize("phase", ["restoring dump", "comparing", "making"])
def test_a_cancel_leaves_the_original_serving(
    phase: str, backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    with closing(postgres_tidy.connect(source.name)) as client:
        restore = confirmed(replacement(backup))
        with pytest.raises(Cancelled):
            run(restore, cancel_at=phase)
        assert client.execute("SELECT count(*) FROM item").fetchall() == [(5,)]
    assert beside(postgres_tidy, source.name) == []
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_a_restore_onto_a_database_without_replacement_is_refused(
    backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    plan = plan_for(backup, source.name)
    checks = preflight(plan)
    assert is_refused(checks)
    with pytest.raises(Conflict, match="checks failed: Name"):
        asked(plan, checks=checks)
    assert items(postgres_tidy, source.name) == 5


def test_a_role_that_does_not_own_the_objects_fails_and_changes_nothing(
    team: Team, source: Database, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    """The statement is shown, and what was there is as before, byte for byte."""
    restorer, other = postgres_role("CREATEDB"), postgres_role()
    give(postgres_tidy, source.name, restorer, "ALTER DATABASE {0} OWNER TO {1}")
    give(postgres_tidy, source.name, other, "ALTER TABLE item OWNER TO {1}")
    backup = taken(source)
    before = contents(postgres_tidy, source.name)
    plan = replacement(backup, server=postgres_at(team, postgres_tidy, restorer))
    restore = confirmed(plan)
    with pytest.raises(SinkFailed, match="ALTER TABLE public.item OWNER TO"):
        run(restore)
    assert (restore.job.state, contents(postgres_tidy, source.name)) == ("failed", before)
    assert explanation(restore).startswith(f"{source.name} is unchanged")


def give(server: PostgresServer, database: str, role: PostgresRole, statement: str) -> None:
    names = map(sql.Identifier, (database, role.name))
    server.execute(database, sql.SQL(statement).format(*names).as_string(None))  # type: ignore[arg-type]


def test_sessions_that_the_role_may_not_end_fail_the_check(
    team: Team, backup: Backup, source: Database, postgres_tidy: PostgresServer,
    postgres_role: MakeRole,
) -> None:  # fmt: skip
    restorer = postgres_role("CREATEDB")
    give(postgres_tidy, source.name, restorer, "ALTER DATABASE {0} OWNER TO {1}")
    plan = replacement(backup, server=postgres_at(team, postgres_tidy, restorer), owner="none")
    assert found("Live sessions", preflight(plan)).level is Level.PASS
    with closing(postgres_tidy.connect(source.name)):
        check = found("Live sessions", preflight(plan))
    assert check.level is Level.FAIL and "pg_signal_backend" in check.fix


def test_a_database_of_others_fails_the_check(
    team: Team, backup: Backup, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    server = postgres_at(team, postgres_tidy, postgres_role("CREATEDB"))
    check = found("Name", preflight(replacement(backup, server=server, owner="none")))
    assert check.level is Level.FAIL and "may not rename" in check.detail


def test_what_is_in_use_is_not_dropped_by_itself_and_tried_again(
    backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    kept = replaced(backup)
    with closing(postgres_tidy.connect(kept.name)):
        [problem] = drop_all_due(8)
    assert "in use" in problem
    kept.refresh_from_db()
    assert (kept.state, kept.problem) == (RetainedState.RETAINED, problem)
    assert drop_all_due(9) == []
    assert beside(postgres_tidy, source.name) == []


def test_nothing_goes_once_the_successor_is_gone_whatever_is_called_so_now(
    backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    kept = replaced(backup)
    name = sql.Identifier(source.name)
    for statement in ("DROP DATABASE {}", "CREATE DATABASE {}"):
        postgres_tidy.execute("postgres", sql.SQL(statement).format(name).as_string(None))
    [problem] = drop_all_due(8)
    assert "is not there any more" in problem
    assert items(postgres_tidy, kept.name) == 5


def test_a_second_replacement_keeps_both(
    backup: Backup, source: Database, postgres_tidy: PostgresServer
) -> None:
    first, second = replaced(backup), replaced(backup)
    assert len({first.name, second.name}) == 2
    assert items(postgres_tidy, first.name) == 5
    with pytest.raises(Conflict, match="another database"):
        swapped_back(first)
    assert drop_all_due(8) == []  # each successor is there, under whatever name
    assert beside(postgres_tidy, source.name) == []
    assert set(RetainedDatabase.objects.values_list("state", flat=True)) == {RetainedState.DROPPED}


def test_missing_roles_can_be_created_by_the_restore(
    source: Database, postgres_tidy: PostgresServer, postgres_role: MakeRole
) -> None:
    role = postgres_role()
    give(postgres_tidy, source.name, role, "ALTER TABLE item OWNER TO {1}")
    backup = taken(source)
    give(postgres_tidy, source.name, role, "DROP OWNED BY {1}")
    give(postgres_tidy, source.name, role, "DROP ROLE {1}")
    copy = f"{source.name}_copy"
    assert found("Roles", preflight(plan_for(backup, copy))).level is Level.FAIL
    plan = plan_for(backup, copy, create_roles=True)
    assert found("Roles", preflight(plan)).level is Level.PASS
    run(asked(plan))
    query = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'item'"
    assert postgres_tidy.rows(copy, query) == [(role.name,)]


@pytest.mark.parametrize(
    ("settings", "title", "level"),
    [
        ({"table_bytes": str(10**18)}, "Disk space", Level.FAIL),
        ({"table_bytes": str(10**18)}, "Temporary space", Level.FAIL),
        ({"collation": "xx_YY", "ctype": "xx_YY"}, "Locale", Level.WARNING),
        ({"locale_provider": "icu", "locale": "de"}, "Locale", None),
        ({"encoding": "KLINGON"}, "Encoding", Level.FAIL),
        ({"tablespaces": '["fast_disk"]'}, "Tablespaces", Level.WARNING),
        ({"extension_versions": '{"plpgsql": "0.1"}'}, "Extensions", Level.WARNING),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_write(
    backup: Backup, settings: dict[str, str], title: str, level: Level | None
) -> None:
    """As if the backup were of such a database; its details are read from the catalog alone."""
    backup.database.server.team.keys.all().delete()
    backup.inventory["settings"] |= settings
    backup.method = "logical"
    backup.save()
    check = found(title, preflight(plan_for(backup, "copy", jobs=2)))
    assert check.level is level or level is None
    assert check.level is Level.PASS or check.fix
