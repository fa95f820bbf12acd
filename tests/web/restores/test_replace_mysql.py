"""Replacing MariaDB databases through the catalog, and the checks before it."""

from __future__ import annotations

from contextlib import closing

import pytest

from backups.models import Backup, Database
from covetbackup.access.models import Team
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.mysql.restore.scratch import PREFIX
from covetbackup.core.errors import BadSetting, Cancelled, Conflict
from restores.models import RetainedDatabase, RetainedState
from restores.preflight import preflight, sessions
from restores.requests import Confirmation
from restores.result import TargetContent, leftovers_of
from tests.support.mariadb import MakeUser, MysqlServer, quoted
from tests.web.backups.test_mysql import mariadb_at
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
from tests.web.restores_helper import asked, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")


@pytest.fixture
def source(team: Team, mariadb_tidy: MysqlServer, mariadb_database: str) -> Database:
    mariadb_tidy.execute(
        mariadb_database,
        "CREATE TABLE item AS SELECT seq AS id FROM seq_1_to_1200",
        "CREATE TABLE log (what text)",
        "CREATE TRIGGER noting AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES ('new')",
    )
    return make_database(mariadb_at(team, mariadb_tidy), name=mariadb_database)


@pytest.fixture
def backup(source: Database, mariadb_tidy: MysqlServer) -> Backup:
    """Of 1200 items, of which 5 were left afterwards."""
    backup = taken(source)
    mariadb_tidy.execute(source.name, "DELETE FROM item WHERE id > 5")
    return backup


def items(server: MysqlServer, name: str) -> int:
    return int(server.rows(name, "SELECT count(*) FROM item")[0][0])


def beside(server: MysqlServer, name: str) -> list[str]:
    return [each for each in server.databases() if each.startswith((f"{name}_", PREFIX))]


def test_replaced_kept_swapped_back_and_dropped(
    backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    kept = replaced(backup)
    assert (items(mariadb_tidy, source.name), items(mariadb_tidy, kept.name)) == (1200, 5)
    swapped_back(kept)
    kept.refresh_from_db()
    assert (items(mariadb_tidy, source.name), items(mariadb_tidy, kept.name)) == (5, 1200)
    dropped(kept)
    assert beside(mariadb_tidy, source.name) == []
    mariadb_tidy.execute(source.name, "INSERT INTO item VALUES (6)")
    assert mariadb_tidy.rows(source.name, "SELECT what FROM log") == [("new",)]


def test_with_a_client_connected_and_a_safety_backup(
    backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    with closing(mariadb_tidy.connect(source.name)):
        plan = replacement(backup)
        [check] = [check for check in preflight(plan) if check.title == "Live sessions"]
        assert (check.level, check.detail[:1]) == (Level.WARNING, "1")
        assert [one.user for one in sessions(plan)] == ["root"]
        restore = confirmed(plan, safety=True)
        take_safety_backup(restore)
        run(restore)
    assert items(mariadb_tidy, source.name) == 1200
    assert Backup.objects.get(pk=restore.safety_backup_id).row_count == 5


def test_without_the_typed_name_nothing_is_asked_for(
    backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    plan = replacement(backup)
    with pytest.raises(BadSetting):
        asked(plan, confirmed=Confirmation("another", False))
    assert items(mariadb_tidy, source.name) == 5


@pytest.mark.parametrize("phase", ["restoring", "comparing", "making"])
def test_a_cancel_leaves_the_original_serving(
    phase: str, backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    restore = confirmed(replacement(backup))
    with pytest.raises(Cancelled):
        run(restore, cancel_at=phase)
    assert items(mariadb_tidy, source.name) == 5
    assert beside(mariadb_tidy, source.name) == []
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_missing_rights_are_found_beforehand(
    team: Team, backup: Backup, source: Database, mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    user = mariadb_user("ALL ON `covet\\_tmp\\_%`.*", f"SELECT, CREATE ON {source.name}.*")
    plan = replacement(backup, server=mariadb_at(team, mariadb_tidy, user), owner="none")
    for _ in ("on the database", "on those it will be kept as"):
        [check] = [check for check in preflight(plan) if check.level is Level.FAIL]
        assert check.title == "Name"
        mariadb_tidy.execute(None, check.fix.split(": ", 1)[1].rstrip(".;"))
    assert not [check for check in preflight(plan) if check.level is Level.FAIL]


def test_nothing_goes_once_the_successor_is_gone_whatever_is_called_so_now(
    backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    kept, name = replaced(backup), quoted(source.name)
    mariadb_tidy.execute(None, f"DROP DATABASE {name}", f"CREATE DATABASE {name}")
    [problem] = drop_all_due(8)
    assert "is not there any more" in problem
    assert items(mariadb_tidy, kept.name) == 5


def test_a_second_replacement_keeps_both(
    backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    first, second = replaced(backup), replaced(backup)
    assert len({first.name, second.name}) == 2
    assert items(mariadb_tidy, first.name) == 5
    with pytest.raises(Conflict, match="another database"):
        swapped_back(first)
    first.refresh_from_db()
    dropped(first)
    dropped(second)
    assert beside(mariadb_tidy, source.name) == []
    assert set(RetainedDatabase.objects.values_list("state", flat=True)) == {RetainedState.DROPPED}


def test_a_swap_back_tells_what_could_not_be_created_again(
    backup: Backup, source: Database, mariadb_tidy: MysqlServer
) -> None:
    kept = replaced(backup)
    mariadb_tidy.execute(
        source.name,
        "CREATE TABLE gone (i int)",
        "CREATE VIEW broken AS SELECT i FROM gone",
        "DROP TABLE gone",
    )
    notes = swapped_back(kept)
    kept.refresh_from_db()
    [line] = [note for note in notes if "view broken" in note]
    assert line.startswith(f"could not be created again in {kept.name}")
    assert items(mariadb_tidy, source.name) == 5
