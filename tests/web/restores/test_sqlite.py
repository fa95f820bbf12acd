"""Restores of SQLite databases: what appears, what never does, and what is said about it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backups.errors import Held, SecretsLocked
from backups.models import Database, Hold, Repository
from backups.services import request_delete
from covetbackup.access.models import Membership, User
from covetbackup.audit.models import AuditEntry
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.sqlite.restore.staging import RESTORE_PREFIX
from covetbackup.core.errors import AccessRefused, BadSetting, Cancelled, CovetError, TargetNotEmpty
from covetbackup.jobs.models import Job
from restores.preflight import preflight
from restores.result import (
    ResultStage,
    TargetContent,
    explanation,
    heading,
    leftovers_of,
    stage_of,
    summary_of,
)
from restores.targets import suggested_name
from restores.tasks import job_ended
from tests.web.catalog import make_file, sqlite_server, stored_files
from tests.web.restores_helper import asked, ended, names_in, plan_for, rows_in, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]
VOLUME = "main.sqlite.zst.cvb"
pytestmark = pytest.mark.usefixtures("repository")


def folder_of(shop: Database) -> Path:
    return Path(shop.server.folder)


def level_of(title: str, checks: list) -> Level:
    return next(check.level for check in checks if check.title == title)


def test_a_backup_becomes_a_new_database_beside_the_old_one(shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    run(restore)
    folder = folder_of(shop)
    assert names_in(folder) == {"shop.db", "copy.db"}
    assert rows_in(folder / "copy.db") == rows_in(folder / "shop.db") == 500
    summary = summary_of(restore)
    assert summary is not None
    assert summary.sentence == "1 table with 500 rows, all as in the backup"
    assert heading(restore) == f"copy.db was restored: {summary.sentence}"


def test_what_was_added_after_the_backup_is_not_in_the_copy(shop: Database) -> None:
    backup = taken(shop)
    with closing(sqlite3.connect(folder_of(shop) / "shop.db")) as connection:
        connection.execute("DELETE FROM item")
        connection.commit()
    run(asked(plan_for(backup)))
    assert rows_in(folder_of(shop) / "copy.db") == 500
    assert rows_in(folder_of(shop) / "shop.db") == 0


def test_the_new_database_is_in_the_catalog_afterwards(shop: Database) -> None:
    run(asked(plan_for(taken(shop))))
    found = shop.server.databases.get(name="copy.db")
    assert found.state == "present"


def test_another_server_of_the_team_can_be_the_target(shop: Database, tmp_path: Path) -> None:
    other = sqlite_server(shop.server.team, tmp_path / "other")
    run(asked(plan_for(taken(shop), server=other)))
    assert rows_in(tmp_path / "other" / "copy.db") == 500
    assert names_in(folder_of(shop)) == {"shop.db"}


def test_the_backup_is_held_until_the_restore_has_ended(shop: Database) -> None:
    backup = taken(shop)
    restore = asked(plan_for(backup))
    assert [hold.reason for hold in backup.holds.all()] == ["being restored as Shop/copy.db"]
    with pytest.raises(Held):
        request_delete(backup, user=None)
    run(restore)
    assert not Hold.objects.exists()


def test_a_damaged_backup_leaves_no_database(shop: Database, repository: Repository) -> None:
    backup = taken(shop)
    top = Path(repository.url.removeprefix("file://"))
    [volume] = [top / name for name in stored_files(repository) if name.endswith(VOLUME)]
    data = bytearray(volume.read_bytes())
    data[len(data) // 2] ^= 1
    volume.write_bytes(data)
    restore = asked(plan_for(backup))
    with pytest.raises(CovetError):
        run(restore)
    assert names_in(folder_of(shop)) == {"shop.db"}
    assert leftovers_of(restore).kept is TargetContent.NOTHING
    assert explanation(restore).endswith("Nothing remains on the target server.")
    assert heading(restore) == "copy.db was not restored"
    assert not Hold.objects.exists()


@pytest.mark.parametrize("phase", ["restoring main.sqlite", "comparing", "making"])
def test_a_cancelled_restore_leaves_no_database(phase: str, shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    with pytest.raises(Cancelled):
        run(restore, cancel_at=phase)
    assert names_in(folder_of(shop)) == {"shop.db"}
    assert heading(restore) == "The restore of copy.db was cancelled"
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_what_a_killed_restore_left_is_swept_when_its_end_is_recorded(shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    scratch = f"{RESTORE_PREFIX}0123456789abcdef"
    (folder_of(shop) / scratch).write_bytes(b"half a database")
    ended(restore, "interrupted", "the runner died")
    assert names_in(folder_of(shop)) == {"shop.db"}
    assert leftovers_of(restore).swept == [scratch]


def test_a_restore_killed_after_the_last_step_is_not_said_to_have_left_nothing(
    shop: Database,
) -> None:
    restore = asked(plan_for(taken(shop)))
    run(restore)
    restore.result["state"] = ResultStage.PUBLISHING.value
    restore.save()
    ended(restore, "interrupted", "the runner died")
    assert leftovers_of(restore).kept is TargetContent.TARGET
    assert "copy.db exists on the target server" in explanation(restore)


def test_a_second_attempt_does_not_take_the_first_one_s_database_for_a_stranger_s(
    shop: Database,
) -> None:
    restore = asked(plan_for(taken(shop)))
    run(restore)
    restore.result["state"] = ResultStage.PUBLISHING.value
    restore.save()
    with pytest.raises(TargetNotEmpty) as caught:
        run(restore, attempt=2)
    assert "may be that one" in caught.value.hint
    assert leftovers_of(restore).kept is TargetContent.TARGET


def test_the_end_may_be_recorded_twice(shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    run(restore)
    ended(restore, "succeeded")
    assert stage_of(restore) is ResultStage.DONE
    done = AuditEntry.objects.filter(action="restore.done", object_id=str(restore.pk))
    assert done.count() == 1


def test_a_restore_cancelled_in_the_queue_looks_at_no_server(shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    folder_of(shop).rename(folder_of(shop).with_name("away"))
    Job.objects.filter(pk=restore.job_id).update(state="cancelled")
    job_ended(Job.objects.get(pk=restore.job_id))
    restore.refresh_from_db()
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_a_target_server_that_cannot_be_asked_is_said_to_be_unknown(shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    folder_of(shop).rename(folder_of(shop).with_name("away"))
    with pytest.raises(CovetError):
        run(restore)
    assert leftovers_of(restore).kept is TargetContent.UNKNOWN
    assert "could not be checked" in explanation(restore)


def test_a_name_that_is_taken_while_the_restore_waits_is_left_alone(shop: Database) -> None:
    restore = asked(plan_for(taken(shop)))
    make_file(folder_of(shop) / "copy.db", rows=7)
    with pytest.raises(TargetNotEmpty):
        run(restore)
    assert rows_in(folder_of(shop) / "copy.db") == 7
    assert leftovers_of(restore).kept is TargetContent.NOTHING


def test_whoever_lost_the_right_meanwhile_gets_nothing(shop: Database, operator: User) -> None:
    restore = asked(plan_for(taken(shop)), operator)
    Membership.objects.filter(user=operator).update(role="viewer")
    with pytest.raises(AccessRefused):
        run(restore)
    assert names_in(folder_of(shop)) == {"shop.db"}


def test_a_user_who_was_deleted_is_not_taken_for_the_system(shop: Database, operator: User) -> None:
    restore = asked(plan_for(taken(shop)), operator)
    Job.objects.filter(pk=restore.job_id).update(
        requested_by=None, argument=restore.job.argument | {"user": 10**6}
    )
    restore.job.refresh_from_db()
    with pytest.raises(AccessRefused):
        run(restore)


def test_the_suggested_name_says_when_the_data_is_of_and_is_free(shop: Database) -> None:
    backup = taken(shop)
    first = suggested_name(backup, shop.server)
    assert first == f"shop_{backup.consistent_at:%Y%m%d_%H%M}.db"
    asked(plan_for(backup, first))
    assert suggested_name(backup, shop.server) == first.replace(".db", "_2.db")


def test_a_sound_plan_passes_every_check(shop: Database) -> None:
    checks = preflight(plan_for(taken(shop)))
    by_title = {check.title: check.level for check in checks}
    assert by_title == {
        "Verified": Level.WARNING,
        "Objects": Level.PASS,
        "Key": Level.PASS,
        "Signature": Level.PASS,
        "Folder": Level.PASS,
        "Name": Level.PASS,
        "Disk space": Level.PASS,
    }


def test_a_missing_object_fails_the_check_by_name(shop: Database, repository: Repository) -> None:
    backup = taken(shop)
    top = Path(repository.url.removeprefix("file://"))
    [volume] = [name for name in stored_files(repository) if name.endswith(VOLUME)]
    (top / volume).unlink()
    [check] = [check for check in preflight(plan_for(backup)) if check.title == "Objects"]
    assert check.level is Level.FAIL
    assert "main.sqlite.zst.cvb is missing" in check.detail.lower()


def test_a_missing_catalog_key_fails_the_check_of_the_key_only(shop: Database, vault: Path) -> None:
    backup = taken(shop)
    (vault / "catalog-keys").rename(vault / "elsewhere")
    checks = preflight(plan_for(backup))
    assert level_of("Key", checks) is Level.FAIL
    assert level_of("Objects", checks) is Level.PASS


def test_a_repository_that_is_away_fails_its_check(shop: Database, repository: Repository) -> None:
    backup = taken(shop)
    top = Path(repository.url.removeprefix("file://"))
    top.rename(top.with_name("away"))
    assert level_of("Repository", preflight(plan_for(backup))) is Level.FAIL


@pytest.mark.parametrize("name", ["shop.db", "shop.db-wal"])
def test_a_taken_name_fails(name: str, shop: Database) -> None:
    backup = taken(shop)
    (folder_of(shop) / name).touch()
    checks = preflight(plan_for(backup, "shop.db"))
    assert level_of("Name", checks) is Level.FAIL


def test_a_folder_that_is_gone_fails(shop: Database) -> None:
    backup = taken(shop)
    folder_of(shop).rename(folder_of(shop).with_name("away"))
    assert level_of("Folder", preflight(plan_for(backup))) is Level.FAIL


def test_what_only_another_queue_s_workers_can_see_is_a_warning(
    shop: Database, tmp_path: Path
) -> None:
    backup = taken(shop)
    far = sqlite_server(shop.server.team, tmp_path / "far", queue="near-the-database")
    (tmp_path / "far").rmdir()
    assert level_of("Folder", preflight(plan_for(backup, server=far))) is Level.WARNING


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../out.db", "/etc/x", "a/b", "x\n.db", "a" * 256]
    + ["x-wal", "x-journal", f"{RESTORE_PREFIX}x"],
)
def test_a_name_that_no_database_may_have_is_refused(name: str, shop: Database) -> None:
    with pytest.raises(BadSetting):
        asked(plan_for(taken(shop), name))


def test_a_team_without_its_keys_cannot_restore(shop: Database, vault: Path) -> None:
    restore = asked(plan_for(taken(shop)))
    (vault / "catalog-keys").rename(vault / "elsewhere")
    with pytest.raises(SecretsLocked):
        run(restore)
    assert names_in(folder_of(shop)) == {"shop.db"}
