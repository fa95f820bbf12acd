"""Rows for tables of a MariaDB database that are there: checked, confirmed, all or none."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from backups.models import Backup, Database
from covetbackup.access.models import Team, User
from covetbackup.core.databases.checks import Check, Level, is_refused
from covetbackup.core.databases.mysql.restore.into_existing.data_only import DataOnlyRestore
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import AccessRefused, BadSetting, Cancelled, Conflict, CovetError
from restores.models import Restore
from restores.preflight import preflight
from restores.result import ResultStage, heading, summary_of
from restores.targets import validate
from tests.support.mariadb import MakeUser, MysqlServer
from tests.support.mariadb_backup import contents, definitions
from tests.web.backups.test_mysql import mariadb_at
from tests.web.conftest import ClientOf
from tests.web.factories import make_database
from tests.web.replacements import confirmed, is_waiting, take_safety_backup
from tests.web.restores.test_into_existing_pages import answers, hidden, keys, text_of
from tests.web.restores.test_into_existing_postgresql import told
from tests.web.restores_helper import ended, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")


@pytest.fixture
def source(team: Team, mariadb_tidy: MysqlServer, mariadb_database: str) -> Database:
    mariadb_tidy.execute(
        mariadb_database,
        "CREATE TABLE maker (id int PRIMARY KEY)",
        "INSERT INTO maker SELECT seq FROM seq_1_to_10",
        "CREATE TABLE item (id int PRIMARY KEY, name varchar(20), maker int,"
        " twice int AS (id * 2) STORED, CONSTRAINT made FOREIGN KEY (maker) REFERENCES maker (id))",
        "INSERT INTO item (id, name, maker) SELECT seq, 'n', 1 + seq % 10 FROM seq_1_to_1200",
        "CREATE TABLE other (what text)",
        "INSERT INTO other VALUES ('this')",
        "CREATE VIEW dear AS SELECT * FROM item WHERE id > 1000",
    )
    return make_database(mariadb_at(team, mariadb_tidy), name=mariadb_database)


@pytest.fixture
def backup(source: Database) -> Backup:
    return taken(source)


def rows(backup: Backup, *tables: str, **more: Any) -> Any:
    """Into what was backed up itself."""
    selection = Selection(tables, with_structure=False)
    return plan_for(backup, backup.database.name, selection=selection, into_existing=True, **more)


def change(server: MysqlServer, backup: Backup, *statements: str) -> Any:
    server.execute(backup.database.name, *statements)
    return contents(server, backup.database.name)


def lost(server: MysqlServer, backup: Backup, table: str) -> Any:
    """What there was before all rows of `table` were deleted."""
    before = contents(server, backup.database.name)
    change(server, backup, f"DELETE FROM {table}")
    return before


def by_title(checks: list[Check]) -> dict[str, Check]:
    return {check.title: check for check in checks}


def test_rows_that_were_lost_come_back(backup: Backup, mariadb_tidy: MysqlServer) -> None:
    name = backup.database.name
    before = contents(mariadb_tidy, name), definitions(mariadb_tidy, name)
    change(mariadb_tidy, backup, "DELETE FROM item", "DELETE FROM maker")
    plan = rows(backup, "item", "maker")
    checks = preflight(plan)
    assert not is_refused(checks)
    assert by_title(checks)["Tables"].detail == "All exist and accept the rows: 2 tables."
    assert not by_title(checks).keys() & {"Foreign keys", "Types", "Triggers"}
    restore = confirmed(plan)
    run(restore)
    assert (contents(mariadb_tidy, name), definitions(mariadb_tidy, name)) == before
    assert summary_of(restore).sentence == "1,210 rows for 2 of 3 tables, all of the backup"
    assert heading(restore) == f"Restored into {name}: {summary_of(restore).sentence}"


@pytest.mark.parametrize(
    ("statement", "title", "level", "said"),
    [
        ("DROP TABLE item", "Tables", Level.FAIL, "does not have, as far as 'root'@"),
        ("ALTER TABLE item DROP name", "Columns", Level.FAIL, "(id, maker, twice instead of id, "),
        ("ALTER TABLE item ADD need int NOT NULL", "Columns", Level.FAIL, "twice, need instead of"),
        ("ALTER TABLE item MODIFY twice int", "Columns", Level.FAIL, "computed in the backup"),
        (
            "ALTER TABLE item DROP FOREIGN KEY made; ALTER TABLE item ENGINE = MyISAM",
            "Tables",
            Level.FAIL,
            "no transactions: item",
        ),
        ("ALTER TABLE item MODIFY name text", "Types", Level.WARNING, "backup: item.name"),
        ("SELECT 1", "Foreign keys", Level.WARNING, "item.made to maker"),
        ("SELECT 1", "Existing rows", Level.WARNING, "item hold rows"),
        ("DELETE FROM item", "Existing rows", Level.PASS, "empty"),
        (
            "CREATE TRIGGER noting BEFORE INSERT ON item FOR EACH ROW SET @a = 1",
            "Triggers",
            Level.WARNING,
            "item noting",
        ),
        (
            "ALTER TABLE item ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES item (id); "
            "CREATE TRIGGER noting BEFORE INSERT ON item FOR EACH ROW SET @a = 1",
            "Triggers",
            Level.WARNING,
            "to themselves, so foreign keys are not kept",
        ),
    ],
)
def test_what_will_happen_to_rows_is_said_before(
    statement: str,
    title: str,
    level: Level,
    said: str,
    backup: Backup,
    mariadb_tidy: MysqlServer,
) -> None:
    before = change(mariadb_tidy, backup, "DROP VIEW dear", *statement.split("; "))
    plan = rows(backup, "item")
    check = by_title(preflight(plan))[title]
    assert (check.level, said in check.detail) == (level, True), check
    if level is Level.FAIL:
        with pytest.raises(BadSetting):
            run(confirmed(plan))
        assert contents(mariadb_tidy, backup.database.name) == before


def test_a_view_and_a_database_that_is_not_there_fail_their_checks(backup: Backup) -> None:
    assert "is a view" in by_title(preflight(rows(backup, "dear")))["Selection"].detail
    plan = plan_for(
        backup, "nowhere", selection=Selection(("other",), (), True, False), into_existing=True
    )
    assert "sees no database called nowhere" in by_title(preflight(plan))["Database"].detail


def test_running_the_grants_lets_the_rows_come(
    team: Team, backup: Backup, mariadb_tidy: MysqlServer, mariadb_user: MakeUser
) -> None:
    before = lost(mariadb_tidy, backup, "item")
    user = mariadb_user(f"DELETE ON {backup.database.name}.*")
    plan = rows(backup, "item", server=mariadb_at(team, mariadb_tidy, user))
    failed = [check for check in preflight(plan) if check.level is Level.FAIL]
    assert {check.title for check in failed} == {"Privileges"}
    with pytest.raises(BadSetting, match="may not insert into: item"):
        run(confirmed(plan))
    while failed:  # what may be read is known once the table is seen
        for check in failed:
            for line in check.fix.rstrip(".;").split("; "):
                mariadb_tidy.execute(None, line)
        failed = [check for check in preflight(plan) if check.level is Level.FAIL]
    assert by_title(preflight(plan))["Triggers"].level is Level.UNKNOWN
    run(confirmed(plan))
    assert contents(mariadb_tidy, backup.database.name) == before


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM item WHERE id <> 700", "Duplicate entry '…'"),
        ("SET foreign_key_checks = 0; DELETE FROM item; DELETE FROM maker", "does not have"),
    ],
)
def test_a_violation_leaves_the_target_as_it_was(
    statement: str, words: str, backup: Backup, mariadb_tidy: MysqlServer
) -> None:
    before = change(mariadb_tidy, backup, *statement.split("; "))
    restore = confirmed(rows(backup, "item", "other"))
    with pytest.raises(CovetError, match=words):
        run(restore)
    assert contents(mariadb_tidy, backup.database.name) == before
    assert heading(restore) == f"Nothing was restored into {backup.database.name}"


def test_a_cancel_leaves_the_target_as_it_was(backup: Backup, mariadb_tidy: MysqlServer) -> None:
    before = change(mariadb_tidy, backup, "DELETE FROM item")
    with pytest.raises(Cancelled):
        run(confirmed(rows(backup, "item")), cancel_at="comparing with the manifest")
    assert contents(mariadb_tidy, backup.database.name) == before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_of_an_attempt_that_died_at_the_commit_nobody_can_tell_so_none_is_made_again(
    moment: str, backup: Backup, mariadb_tidy: MysqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has no key: a second attempt would be there twice."""
    restore = confirmed(rows(backup, "other"))
    die_at(moment, restore, monkeypatch)
    after = contents(mariadb_tidy, backup.database.name)
    with pytest.raises(Conflict, match="an attempt before this one was stopped while"):
        run(restore)
    count = {"before": 1, "after": 2}[moment]
    assert mariadb_tidy.rows(backup.database.name, "SELECT count(*) FROM other") == [(count,)]
    assert contents(mariadb_tidy, backup.database.name) == after
    assert heading(restore) == f"All data may have been restored into {backup.database.name}"


def die_at(moment: str, restore: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies right before the commit, or right after it, and nobody records its end."""
    commit = DataOnlyRestore.commit

    def dying(session: DataOnlyRestore) -> None:
        if moment == "after":
            commit(session)
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(DataOnlyRestore, "commit", dying)
        patch.setattr("tests.web.restores_helper.ended", lambda *arguments: None)
        with pytest.raises(SystemExit):
            run(restore)
    restore.refresh_from_db()
    assert restore.result["state"] == ResultStage.PUBLISHING


def test_an_attempt_that_died_earlier_has_added_nothing(backup: Backup) -> None:
    restore = confirmed(rows(backup, "other"))
    ended(restore, "interrupted")
    assert heading(restore) == f"Nothing was restored into {backup.database.name}"


def test_it_waits_for_a_safety_backup_and_needs_the_right(
    backup: Backup, mariadb_tidy: MysqlServer, operator: User, viewer: User
) -> None:
    for user in (operator, viewer):
        with pytest.raises(AccessRefused):
            confirmed(rows(backup, "other"), user)
    restore = confirmed(rows(backup, "other"), safety=True)
    assert is_waiting(restore)
    take_safety_backup(restore)
    run(restore)
    assert mariadb_tidy.rows(backup.database.name, "SELECT count(*) FROM other") == [(2,)]


def test_tables_cannot_be_made_there(backup: Backup) -> None:
    plan = plan_for(
        backup, backup.database.name, selection=Selection(("other",)), into_existing=True
    )
    with pytest.raises(BadSetting, match="only rows can be restored into an existing"):
        validate(plan)


def test_the_command_does_the_same(backup: Backup, mariadb_tidy: MysqlServer) -> None:
    name = backup.database.name
    before = lost(mariadb_tidy, backup, "item")
    place = (backup.label, "--into", f"{backup.database.server.name}/{name}")
    assert told(*place, "--table", "item", "--check")["exit"] == 7  # tables are not made
    wish = ("--table", "item", "--data-only")
    assert told(*place, *wish, "--check")["exit"] == 0
    assert told(*place, *wish)["exit"] == 2  # its name was not typed
    asked_for = told(*place, *wish, "--confirm", name, "--no-safety-backup")
    run(Restore.objects.get(pk=asked_for["restore"]))
    assert contents(mariadb_tidy, name) == before


def test_rows_are_added_by_plain_links_and_forms(
    client_of: ClientOf, admin: User, backup: Backup, mariadb_tidy: MysqlServer
) -> None:
    client, name = client_of(admin), backup.database.name
    before = lost(mariadb_tidy, backup, "item")
    selected = {"what": "data", "pick": keys(backup, "item")}
    chosen = text_of(client.get(reverse("restore-select", args=[backup.pk]), selected))
    assert "Data only" in chosen and f"/{name}' --confirm {name}" in chosen
    start = text_of(client.get(reverse("restore-start", args=[backup.pk]), selected, follow=True))
    assert "An existing database; what it holds" in start and "Rows, into existing tables" in start
    assert "accounts" not in start and "Owners and privileges" not in start
    url = reverse("restore-into-existing-check", args=[backup.pk])
    sent = {**hidden(client.get(url, answers(backup, **selected))), "typed": name}
    answer = client.post(url, sent)
    run(Restore.objects.get())
    assert contents(mariadb_tidy, name) == before
    result = text_of(client.get(answer.headers["Location"]))
    assert f"Restored into {name}: 1,200 rows for 1 of 3 tables" in result


def test_the_pages_offer_rows_alone(client_of: ClientOf, admin: User, backup: Backup) -> None:
    selected = {"what": "some", "pick": keys(backup, "item")}
    start = client_of(admin).get(reverse("restore-start", args=[backup.pk]), selected)
    assert "Restore into existing database…" not in text_of(start)
    assert "Create missing accounts" in text_of(start)
    url = reverse("restore-into-existing-check", args=[backup.pk])
    refused = client_of(admin).get(url, answers(backup, **selected))
    assert refused.status_code == 422


def test_an_operator_and_a_viewer_add_nothing_by_the_pages(
    client_of: ClientOf, operator: User, viewer: User, backup: Backup
) -> None:
    selected = {"what": "data", "pick": keys(backup, "item")}
    for user in (operator, viewer):
        url = reverse("restore-into-existing-check", args=[backup.pk])
        assert client_of(user).get(url, answers(backup, **selected)).status_code == 403
