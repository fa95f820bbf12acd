"""Replacing SQLite databases: who may, what is kept for how long, and how it is undone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backups.models import Backup, Database, Repository
from backups.services import request_backup
from covetbackup.access.models import Membership, Team, User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.sqlite.replace import swap
from covetbackup.core.databases.sqlite.replace.swap import swap as swap_files
from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    Cancelled,
    Conflict,
    CovetError,
    ServerBusy,
)
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import request_cancel
from restores import retained
from restores.models import Restore, RetainedDatabase, RetainedState
from restores.preflight import preflight
from restores.requests import Confirmation
from restores.result import (
    ResultStage,
    TargetContent,
    explanation,
    heading,
    leftovers_of,
    summary_of,
)
from restores.retained import drop_due, request_swap_back
from restores.retained_tasks import swap_back_ended
from restores.tick import tick
from tests.web.catalog import make_file, make_repository
from tests.web.replacements import (
    confirmed,
    drop_all_due,
    dropped,
    is_waiting,
    replaced,
    replacement,
    swapped_back,
    take_safety_backup,
)
from tests.web.restores_helper import actor, asked, ended, names_in, rows_in, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def backup(repository: Repository, shop: Database) -> Backup:
    """Of 500 rows, of which 7 were left afterwards."""
    backup = taken(shop)
    with closing(sqlite3.connect(file(shop))) as connection:
        connection.execute("DELETE FROM item WHERE id > 6")
        connection.commit()
    return backup


def folder(shop: Database) -> Path:
    return Path(shop.server.folder)


def file(shop: Database, name: str = "shop.db") -> Path:
    return folder(shop) / name


def is_untouched(shop: Database) -> bool:
    return rows_in(file(shop)) == 7 and names_in(folder(shop)) == {"shop.db"}


def test_the_copy_takes_the_place_and_the_old_one_is_kept(backup: Backup, shop: Database) -> None:
    kept = replaced(backup)
    assert (rows_in(file(shop)), rows_in(file(shop, kept.name))) == (500, 7)
    assert names_in(folder(shop)) == {"shop.db", kept.name}
    restore = Restore.objects.get()
    assert summary_of(restore).retained_as == kept.name
    assert heading(restore).startswith("shop.db was replaced: 1 table with 500 rows")
    assert (kept.drop_after - kept.kept_at).days == 7
    assert AuditEntry.objects.get(action="restore.done").details["retained_as"] == kept.name


def test_what_is_kept_is_listed_but_neither_new_nor_to_be_backed_up(
    backup: Backup, shop: Database
) -> None:
    kept = replaced(backup)
    row = shop.server.databases.get(name=kept.name)
    assert (row.is_new, row.is_included, row.state) == (False, False, "present")


@pytest.mark.parametrize("typed", ["", "Shop.db", "shop.db ", "shop"])
def test_a_wrong_name_typed_asks_for_nothing(backup: Backup, typed: str) -> None:
    with pytest.raises(BadSetting, match="typed"):
        asked(replacement(backup), confirmed=Confirmation(typed))
    with pytest.raises(BadSetting, match="typed"):
        asked(replacement(backup))
    assert not Restore.objects.exists() and not Job.objects.filter(kind="restore").exists()


def test_an_operator_may_not_replace(backup: Backup, operator: User, admin: User) -> None:
    with pytest.raises(AccessRefused):
        confirmed(replacement(backup), operator)
    assert confirmed(replacement(backup), admin).request.replace


def test_whoever_lost_the_right_meanwhile_replaces_nothing(
    backup: Backup, shop: Database, admin: User
) -> None:
    restore = confirmed(replacement(backup), admin)
    Membership.objects.filter(user=admin).update(role="operator")
    with pytest.raises(AccessRefused):
        run(restore)
    assert is_untouched(shop)


@pytest.mark.parametrize("phase", ["restoring main.sqlite", "comparing", "making"])
def test_a_cancel_at_any_time_leaves_the_original_serving(
    phase: str, backup: Backup, shop: Database
) -> None:
    restore = confirmed(replacement(backup))
    with pytest.raises(Cancelled):
        run(restore, cancel_at=phase)
    assert is_untouched(shop)
    assert leftovers_of(restore).kept is TargetContent.NOTHING
    assert explanation(restore) == "shop.db is unchanged, and nothing else remains."
    assert not RetainedDatabase.objects.exists()


def test_a_database_in_use_is_not_replaced(
    backup: Backup, shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("covetbackup.core.databases.sqlite.replace.swap._BUSY_SECONDS", 0.1)
    restore = confirmed(replacement(backup))
    with closing(sqlite3.connect(file(shop))) as client:
        client.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServerBusy):
            run(restore)
    assert is_untouched(shop)


def test_the_restore_waits_for_the_safety_backup(backup: Backup, shop: Database) -> None:
    restore = confirmed(replacement(backup), safety=True)
    safety = restore.safety_backup
    assert (safety.database, safety.job.state) == (shop, "queued")
    assert is_waiting(restore)
    take_safety_backup(restore)
    assert not is_waiting(restore)
    run(Restore.objects.get())
    assert rows_in(file(shop)) == 500
    assert Backup.objects.get(pk=safety.pk).row_count == 7


def test_a_failed_safety_backup_fails_the_restore_and_touches_nothing(
    backup: Backup, shop: Database, repository: Repository
) -> None:
    restore = confirmed(replacement(backup), safety=True)
    place = Path(repository.url.removeprefix("file://"))
    place.rename(place.with_name("away"))
    take_safety_backup(restore)
    tick()
    job = Job.objects.get(pk=restore.job_id)
    assert (job.state, job.attempt, job.error_code) == ("failed", 0, "SafetyBackupFailed")
    assert job.error.startswith("the safety backup of shop.db failed: ")
    ended(restore, "failed", job.error)
    assert is_untouched(shop)
    assert not backup.holds.exists()


def test_a_cancelled_safety_backup_fails_the_restore(backup: Backup) -> None:
    restore = confirmed(replacement(backup), safety=True)
    assert request_cancel(restore.safety_backup.job, None)
    tick()
    assert Job.objects.get(pk=restore.job_id).state == "failed"


def test_a_backup_that_waits_already_is_the_safety_backup(backup: Backup, shop: Database) -> None:
    waiting = request_backup(shop, user=None)
    assert confirmed(replacement(backup), safety=True).safety_backup == waiting


def test_a_safety_backup_goes_where_the_last_backup_went(
    backup: Backup, vault: Path, team: Team
) -> None:
    make_repository(team, vault / "second")
    restore = confirmed(replacement(backup), safety=True)
    places = restore.safety_backup.copies.values_list("repository__name", flat=True)
    assert list(places) == ["first"]


def test_a_database_that_the_catalog_does_not_know_is_backed_up_too(
    backup: Backup, shop: Database
) -> None:
    make_file(file(shop, "new.db"), rows=3)
    restore = confirmed(replacement(backup, "new.db"), safety=True)
    take_safety_backup(restore)
    assert Backup.objects.get(pk=restore.safety_backup_id).row_count == 3


def test_a_damaged_safety_backup_stops_the_restore_at_its_start(
    backup: Backup, shop: Database
) -> None:
    restore = confirmed(replacement(backup), safety=True)
    take_safety_backup(restore)
    Backup.objects.filter(pk=restore.safety_backup_id).update(state="failed")
    with pytest.raises(Conflict, match="safety backup"):
        run(restore)
    assert is_untouched(shop)


def test_swapping_back_gives_the_original_its_place(
    backup: Backup, shop: Database, admin: User
) -> None:
    kept = replaced(backup)
    identity = kept.identity
    swapped_back(kept, admin)
    kept.refresh_from_db()
    assert (rows_in(file(shop)), rows_in(file(shop, kept.name))) == (7, 500)
    assert (kept.state, kept.is_original) == (RetainedState.RETAINED, False)
    assert kept.successor_identity == identity
    swapped_back(kept)
    assert rows_in(file(shop)) == 500


@pytest.mark.parametrize("act", [dropped, swapped_back])
def test_only_who_may_replace_may_drop_and_swap_back(
    act: Any, backup: Backup, operator: User
) -> None:
    kept = replaced(backup)
    with pytest.raises(AccessRefused):
        act(kept, operator)
    assert RetainedDatabase.objects.get().state == RetainedState.RETAINED


def test_dropping_by_hand(backup: Backup, shop: Database, admin: User) -> None:
    kept = replaced(backup)
    dropped(kept, admin)
    kept.refresh_from_db()
    assert (kept.state, kept.ended_by) == (RetainedState.DROPPED, admin)
    assert names_in(folder(shop)) == {"shop.db"}
    assert rows_in(file(shop)) == 500


@pytest.mark.parametrize(
    ("days", "retention_days", "goes"), [(6.9, 7, 0), (7.1, 7, 1), (999, 0, 0)]
)
def test_what_is_kept_goes_after_its_days(
    days: float, retention_days: int, goes: bool, backup: Backup, shop: Database
) -> None:
    kept = replaced(backup, retention_days=retention_days)
    assert drop_all_due(days) == []
    assert file(shop, kept.name).exists() is not bool(goes)
    assert rows_in(file(shop)) == 500
    asked_for = AuditEntry.objects.filter(action="kept.drop.request", actor="system")
    assert asked_for.count() == int(goes)


def test_two_ticks_ask_for_one_drop(backup: Backup) -> None:
    replaced(backup)
    later = timezone.now() + timedelta(days=8)
    drop_due(later)
    drop_due(later)
    assert Job.objects.filter(kind="drop_kept").count() == 1


def test_one_that_cannot_be_asked_to_go_keeps_no_other_from_going(
    backup: Backup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = timezone.now()
    younger, oldest = replaced(backup, retention_days=2), replaced(backup, retention_days=1)
    enqueue, asked_for = retained.enqueue_job, []

    def failing(kind: str, kept: RetainedDatabase, *args: Any, **options: Any) -> Job:
        asked_for.append(kept)
        if kept == oldest:
            raise ValueError("a row that is not right")
        return enqueue(kind, kept, *args, **options)

    monkeypatch.setattr(retained, "enqueue_job", failing)
    drop_due(now + timedelta(days=3))
    assert asked_for == [oldest, younger]
    assert "a row that is not right" in caplog.text
    oldest.refresh_from_db()
    assert (oldest.state, oldest.drop_after) == (RetainedState.RETAINED, now + timedelta(days=4))
    assert "the log of the worker" in oldest.problem
    assert [job.argument["kept"] for job in Job.objects.filter(kind="drop_kept")] == [younger.pk]


def test_nothing_is_dropped_by_itself_without_its_successor(backup: Backup, shop: Database) -> None:
    kept = replaced(backup)
    file(shop).unlink()
    [problem] = drop_all_due(8)
    assert "is not there any more" in problem
    assert rows_in(file(shop, kept.name)) == 7
    kept.refresh_from_db()
    assert (kept.state, kept.problem) == (RetainedState.RETAINED, problem)


def test_another_database_of_the_name_is_neither_dropped_nor_swapped(
    backup: Backup, shop: Database
) -> None:
    kept = replaced(backup)
    file(shop, kept.name).rename(file(shop, "mine.db"))
    make_file(file(shop, kept.name), rows=2)
    with pytest.raises(Conflict, match="another database"):
        dropped(kept)
    with pytest.raises(Conflict, match="another database"):
        swapped_back(RetainedDatabase.objects.get())
    assert (rows_in(file(shop)), rows_in(file(shop, kept.name))) == (500, 2)


def test_nothing_is_dropped_or_swapped_that_cannot_be_told_from_others(
    backup: Backup, shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "birth_time", lambda path: None)
    kept = replaced(backup)
    assert (kept.identity, kept.successor_identity) == ("", "")
    [problem] = drop_all_due(8)
    assert "may be another database now" in problem
    with pytest.raises(Conflict, match="may be another"):
        swapped_back(RetainedDatabase.objects.get())
    assert (rows_in(file(shop)), rows_in(file(shop, kept.name))) == (500, 7)


def test_one_that_somebody_dropped_by_hand_is_gone(backup: Backup, shop: Database) -> None:
    kept = replaced(backup)
    file(shop, kept.name).unlink()
    assert drop_all_due(8) == []
    kept.refresh_from_db()
    assert kept.state == RetainedState.GONE


def test_a_restore_killed_right_after_its_swap_is_found_out(backup: Backup, shop: Database) -> None:
    restore = as_killed_after_the_swap(backup)
    ended(restore, "interrupted", "the runner died")
    assert leftovers_of(restore).kept is TargetContent.TARGET
    kept = RetainedDatabase.objects.get()
    assert f"retained as {kept.name}" in explanation(restore)
    swapped_back(kept)
    assert rows_in(file(shop)) == 7


def test_a_second_attempt_does_not_replace_what_the_first_restored(
    backup: Backup, shop: Database
) -> None:
    restore = as_killed_after_the_swap(backup)
    run(restore, attempt=2)
    kept = RetainedDatabase.objects.get()
    assert names_in(folder(shop)) == {"shop.db", kept.name}
    assert rows_in(file(shop, kept.name)) == 7


def as_killed_after_the_swap(backup: Backup) -> Restore:
    """The files are swapped, and of that the catalog only knows that it was about to happen."""
    kept = replaced(backup)
    restore = kept.restore
    kept.delete()
    restore.result["state"] = ResultStage.PUBLISHING.value
    restore.save()
    return restore


def test_a_swap_back_killed_after_its_swap_is_found_out(backup: Backup, shop: Database) -> None:
    kept = replaced(backup)
    job = request_swap_back(kept, by=actor(None), typed="shop.db")
    kept.next_name = "shop_replaced_20990101_000000.db"
    kept.save(update_fields=["next_name"])
    swap_files(file(shop), file(shop, kept.name), file(shop, kept.next_name))
    Job.objects.filter(pk=job.pk).update(state="interrupted")
    job.refresh_from_db()
    swap_back_ended(job)
    kept.refresh_from_db()
    assert (kept.name, kept.state) == ("shop_replaced_20990101_000000.db", RetainedState.RETAINED)
    assert not kept.is_original


def test_the_checks_say_what_a_replacement_meets(backup: Backup, shop: Database) -> None:
    checks = {check.title: check for check in preflight(replacement(backup))}
    assert checks["Name"].level is Level.PASS
    assert "will be retained as shop_replaced_" in checks["Name"].detail
    assert checks["Live sessions"].level is Level.PASS
    missing = {check.title: check for check in preflight(replacement(backup, "no.db"))}
    assert missing["Name"].level is Level.FAIL


def test_a_restore_in_the_way_refuses_another(backup: Backup) -> None:
    confirmed(replacement(backup))
    with pytest.raises(CovetError, match="another restore"):
        confirmed(replacement(backup))
