"""What goes into a PostgreSQL database that is there: checked, confirmed, all of it or nothing."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from backups.models import Backup, Database
from covetbackup.access.models import Team, User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.checks import Check, Level, is_refused
from covetbackup.core.databases.postgresql.restore.into_existing import checks as existing_checks
from covetbackup.core.databases.postgresql.restore.into_existing.session import InPlaceRestore
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    Cancelled,
    Conflict,
    SinkFailed,
    TargetNotEmpty,
)
from restores.models import Restore
from restores.preflight import preflight
from restores.requests import Confirmation
from restores.result import ResultStage, Summary, explanation, heading, summary_of
from restores.targets import validate
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import contents
from tests.support.streams import eventually
from tests.web.catalog import postgres_at
from tests.web.factories import make_database
from tests.web.replacements import confirmed, is_waiting, take_safety_backup
from tests.web.restores_helper import asked, ended, plan_for, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
pytestmark = pytest.mark.usefixtures("repository")


@pytest.fixture
def source(team: Team, postgres_tidy: PostgresServer, postgres_database: str) -> Database:
    postgres_tidy.execute(
        postgres_database,
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE maker (id int PRIMARY KEY)",
        "INSERT INTO maker SELECT generate_series(1, 10)",
        "CREATE TABLE item (id serial PRIMARY KEY, mood mood, maker int REFERENCES maker)",
        "INSERT INTO item (mood, maker) SELECT 'good', 1 + g % 10 FROM generate_series(1, 1200) g",
        "CREATE TABLE other AS SELECT 'good'::mood AS mood",
    )
    return make_database(postgres_at(team, postgres_tidy), name=postgres_database)


@pytest.fixture
def backup(source: Database) -> Backup:
    return taken(source)


def adding(backup: Backup, *tables: str, **more: Any) -> Any:
    """Into what was backed up itself."""
    selection = Selection(tables, **more)
    return plan_for(backup, backup.database.name, selection=selection, into_existing=True)


def rows(backup: Backup, *tables: str) -> Any:
    return adding(backup, *tables, with_structure=False)


def change(server: PostgresServer, backup: Backup, *statements: str) -> dict[str, str]:
    server.execute(backup.database.name, *statements)
    return contents(server, backup.database.name)


def by_title(checks: list[Check]) -> dict[str, Check]:
    return {check.title: check for check in checks}


def test_rows_that_were_lost_come_back(backup: Backup, postgres_tidy: PostgresServer) -> None:
    before = contents(postgres_tidy, backup.database.name)
    change(postgres_tidy, backup, "TRUNCATE item, maker")
    plan = rows(backup, "public.item", "public.maker")
    checks = preflight(plan)
    assert not is_refused(checks)
    assert "locked against writes" in by_title(checks)["Foreign keys"].detail
    restore = confirmed(plan)
    phases = run(restore).phases
    assert "checking keys" in phases and "making indexes and keys" not in phases
    assert contents(postgres_tidy, backup.database.name) == before
    summary = summary_of(restore)
    assert summary.sentence == "1,210 rows for 2 of 3 tables, all of the backup"
    assert heading(restore) == f"Restored into {backup.database.name}: {summary.sentence}"
    assert summary.plain_bytes > 10_000
    assert AuditEntry.objects.filter(action="restore.done").count() == 1


def test_a_dropped_table_comes_back_beside_the_others(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = contents(postgres_tidy, backup.database.name)
    change(postgres_tidy, backup, "DROP TABLE item")
    plan = adding(backup, "public.item")
    checks = preflight(plan)
    assert not is_refused(checks)
    keys = by_title(checks)["Foreign keys"].detail
    assert "created if the rows allow it" in keys and "locked against writes" in keys
    restore = confirmed(plan)
    work = run(restore)
    assert "leads to a table that was there: foreign key public.item item_maker_fkey" in work.notes
    assert contents(postgres_tidy, backup.database.name) == before
    assert summary_of(restore).sentence == "1 of 3 tables with 1,200 rows, all as in the backup"


def test_a_table_comes_beside_the_living_one_under_another_schema(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = change(postgres_tidy, backup, "DELETE FROM item WHERE id > 7")
    plan = adding(backup, "public.item", schemas_as=(("public", "monday"),))
    assert "Not restored, as" in by_title(preflight(plan))["Foreign keys"].detail
    restore = confirmed(plan)
    run(restore)
    after = contents(postgres_tidy, backup.database.name)
    assert {name: after[name] for name in before} == before
    query = "SELECT count(*) FROM monday.item"
    assert postgres_tidy.rows(backup.database.name, query) == [(1200,)]
    assert summary_of(restore).rows == 1200


@pytest.mark.parametrize(
    ("statement", "title", "level", "said"),
    [
        ("DROP TABLE item", "Tables", Level.FAIL, "not there: public.item"),
        ("ALTER TABLE item DROP mood", "Columns", Level.FAIL, "public.item.mood"),
        ("ALTER TABLE item ADD need int NOT NULL", "Columns", Level.FAIL, "public.item.need"),
        ("SELECT 1", "Existing rows", Level.WARNING, "public.item hold rows"),
        ("TRUNCATE item", "Existing rows", Level.PASS, "empty"),
        ("SELECT 1", "Sequences", Level.WARNING, "public.item_id_seq"),
        (
            "CREATE TRIGGER t BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION"
            " suppress_redundant_updates_trigger()",
            "Triggers",
            Level.WARNING,
            "public.item t",
        ),
    ],
)
def test_what_will_happen_to_rows_is_said_before(
    statement: str,
    title: str,
    level: Level,
    said: str,
    backup: Backup,
    postgres_tidy: PostgresServer,
) -> None:
    before = change(postgres_tidy, backup, statement.replace("NOT NULL", "NOT NULL DEFAULT 1"))
    change(postgres_tidy, backup, *["ALTER TABLE item ALTER need DROP DEFAULT"] * ("need" in said))
    plan = rows(backup, "public.item")
    checks = preflight(plan)
    check = by_title(checks)[title]
    assert (check.level, said in check.detail) == (level, True)
    if level is Level.FAIL:
        with pytest.raises(Conflict, match="checks failed"):
            confirmed_with(plan, checks)
        with pytest.raises(BadSetting):
            run(confirmed(plan))
        assert contents(postgres_tidy, backup.database.name) == before


@pytest.mark.parametrize(
    ("limit", "said"),
    [("lock_timeout", "hold locks that are needed"), ("statement_timeout", "for one answer")],
)
def test_a_look_that_has_to_wait_fails_and_leaves_no_session(
    limit: str,
    said: str,
    backup: Backup,
    postgres_tidy: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(existing_checks, "_LIMITS", {limit: 1})
    with postgres_tidy.connect(backup.database.name) as holder, holder.transaction():
        holder.execute("LOCK TABLE other IN ACCESS EXCLUSIVE MODE")
        check = by_title(preflight(rows(backup, "public.other")))["Database"]
        assert (check.level, said in check.detail) == (Level.FAIL, True), check
        assert eventually(lambda: postgres_tidy.rows("postgres", _LOOKING) == [(0,)], seconds=20)


_WRITING = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
_LOOKING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'covetbackup preflight'"


def confirmed_with(plan: Any, checks: list[Check]) -> Restore:
    return asked(
        plan, checks=checks, confirmed=Confirmation(plan.request.database, has_safety_backup=False)
    )


def test_a_table_that_is_there_fails_the_check_and_the_restore(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = change(postgres_tidy, backup, "DROP TABLE maker CASCADE")
    plan = adding(backup, "public.item", "public.maker")
    check = by_title(preflight(plan))["Names"]
    assert check.level is Level.FAIL and "public.item" in check.detail
    assert "public.maker" not in check.detail
    restore = confirmed(plan)
    with pytest.raises(Conflict, match="there already: public.item"):
        run(restore)
    assert contents(postgres_tidy, backup.database.name) == before


def test_a_violation_half_way_leaves_the_target_as_it_was(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = change(postgres_tidy, backup, "DELETE FROM item WHERE id <> 700")
    restore = confirmed(rows(backup, "public.item", "public.other"))
    with pytest.raises(SinkFailed, match="item_pkey"):
        run(restore)
    assert contents(postgres_tidy, backup.database.name) == before
    assert heading(restore) == f"Nothing was restored into {backup.database.name}"
    assert "is unchanged" in explanation(restore)


def test_a_cancel_leaves_the_target_as_it_was(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = change(postgres_tidy, backup, "TRUNCATE item")
    restore = confirmed(rows(backup, "public.item"))
    with pytest.raises(Cancelled):
        run(restore, cancel_at="comparing with the manifest")
    assert contents(postgres_tidy, backup.database.name) == before


def die_at(
    moment: str, restore: Restore, monkeypatch: pytest.MonkeyPatch, server: PostgresServer
) -> None:
    """A worker dies right before the commit, or right after it, and nobody records its end. The
    server has undone it, if so, before anybody asks."""
    commit = InPlaceRestore.commit

    def dying(session: InPlaceRestore) -> None:
        if moment == "after":
            commit(session)
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(InPlaceRestore, "commit", dying)
        patch.setattr("tests.web.restores_helper.ended", lambda *arguments: None)
        with pytest.raises(SystemExit):
            run(restore)
    assert eventually(lambda: server.rows("postgres", _WRITING) == [(0,)], seconds=20)
    restore.refresh_from_db()
    assert restore.result["state"] == ResultStage.PUBLISHING


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_attempt_that_is_made_again_adds_everything_once(
    moment: str, backup: Backup, postgres_tidy: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was stopped at the very end, and the job came back into the queue."""
    before = contents(postgres_tidy, backup.database.name)
    change(postgres_tidy, backup, "TRUNCATE other")
    restore = confirmed(rows(backup, "public.other"))
    die_at(moment, restore, monkeypatch, postgres_tidy)
    run(restore)
    assert contents(postgres_tidy, backup.database.name) == before
    assert heading(restore).startswith(
        f"Restored into {backup.database.name}: 1 row for 1 of 3 tables"
    )


def test_a_table_that_somebody_made_meanwhile_is_not_told_as_ours(
    backup: Backup, postgres_tidy: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(postgres_tidy, backup, "DROP TABLE other")
    restore = confirmed(adding(backup, "public.other"))
    die_at("before", restore, monkeypatch, postgres_tidy)
    change(postgres_tidy, backup, "CREATE TABLE other (somebodys int)")
    with pytest.raises(TargetNotEmpty) as refused:
        run(restore)
    assert "attempt before" not in refused.value.hint
    assert heading(restore) == f"Nothing was restored into {backup.database.name}"


@pytest.mark.parametrize(
    ("moment", "told"),
    [("before", "Nothing was restored into {}"), ("after", "All data was restored into {}")],
)
def test_of_an_attempt_that_died_at_the_very_end_the_server_tells(
    moment: str,
    told: str,
    backup: Backup,
    postgres_tidy: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(postgres_tidy, backup, "TRUNCATE other")
    restore = confirmed(rows(backup, "public.other"))
    die_at(moment, restore, monkeypatch, postgres_tidy)
    ended(restore, "interrupted")
    assert heading(restore) == told.format(backup.database.name)


def test_what_may_have_been_added_is_not_added_twice(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    """The server does not remember."""
    before = change(postgres_tidy, backup, "TRUNCATE other")
    restore = confirmed(rows(backup, "public.other"))
    result = Summary(1, 1, 0, 0, 0, trace="").to_json(ResultStage.PUBLISHING)
    Restore.objects.filter(pk=restore.pk).update(result=result)
    with pytest.raises(Conflict, match="an attempt before this one"):
        run(restore)
    assert contents(postgres_tidy, backup.database.name) == before
    assert heading(restore) == f"All data may have been restored into {backup.database.name}"
    assert "All of it is there or nothing" in explanation(restore)


def test_a_refusal_by_the_server_at_the_very_end_is_told_as_nothing(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    before = change(
        postgres_tidy,
        backup,
        "TRUNCATE other",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$",
        "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON other DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION no()",
    )
    restore = confirmed(rows(backup, "public.other"))
    with pytest.raises(Exception, match="not today"):
        run(restore)
    assert contents(postgres_tidy, backup.database.name) == before
    assert heading(restore) == f"Nothing was restored into {backup.database.name}"


def test_it_waits_for_a_safety_backup_unless_that_is_left_out(
    backup: Backup, postgres_tidy: PostgresServer
) -> None:
    change(postgres_tidy, backup, "TRUNCATE other")
    restore = confirmed(rows(backup, "public.other"), safety=True)
    assert is_waiting(restore)
    take_safety_backup(restore)
    assert not is_waiting(restore)
    assert "safety backup before a partial restore of" in restore.safety_backup.note
    run(restore)


def test_it_needs_the_right_to_restore_over_what_is_there(
    backup: Backup, operator: User, admin: User
) -> None:
    with pytest.raises(AccessRefused):
        confirmed(rows(backup, "public.other"), operator)
    with pytest.raises(BadSetting, match="typed"):
        asked(rows(backup, "public.other"), admin)
    assert confirmed(rows(backup, "public.other"), admin).request.into_existing


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"into_existing": True}, "only a selection can be restored"),
        ({"selection": Selection(("public.a",), with_structure=False)}, "rows alone"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(
    plan: dict[str, Any], message: str, backup: Backup
) -> None:
    with pytest.raises(BadSetting, match=message):
        validate(plan_for(backup, "x", **plan))


def told(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    try:
        call_command("restore", *arguments, "--json", stdout=out, stderr=StringIO())
    except SystemExit as failed:
        return {"exit": failed.code, **json.loads(out.getvalue())}
    return {"exit": 0, **json.loads(out.getvalue())}


def test_the_command_does_the_same(backup: Backup, postgres_tidy: PostgresServer) -> None:
    before = contents(postgres_tidy, backup.database.name)
    change(postgres_tidy, backup, "TRUNCATE item")
    place = (backup.label, "--into", f"{backup.database.server.name}/{backup.database.name}")
    wish = ("--table", "public.item", "--data-only")
    assert told(*place, *wish, "--check")["exit"] == 0
    assert told(*place, *wish)["exit"] == 2  # its name was not typed
    asked_for = told(*place, *wish, "--confirm", backup.database.name, "--no-safety-backup")
    run(Restore.objects.get(pk=asked_for["restore"]))
    assert contents(postgres_tidy, backup.database.name) == before


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--as", "x", "--data-only", "--table", "public.item", "--check"], 7),
        (["--as", "x", "--data-only"], 2),
        (["--as", "x", "--table", "public.item", "--rename-schema", "public"], 2),
        (["--as", "x", "--table", "public.item", "--rename-schema", "a=b", "--check"], 7),
    ],
)
def test_the_command_refuses_what_makes_no_sense(
    options: list[str], status: int, backup: Backup
) -> None:
    assert told(backup.label, *options)["exit"] == status
    assert not Restore.objects.exists()


def test_an_interrupted_restore_before_its_end_has_added_nothing(backup: Backup) -> None:
    restore = confirmed(rows(backup, "public.other"))
    ended(restore, "interrupted")
    assert heading(restore) == f"Nothing was restored into {backup.database.name}"
