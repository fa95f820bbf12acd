"""Backups through the catalog: taken, recorded, verified, removed; and dead runners."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from backups import engine_factory, tasks
from backups.discovery import discover
from backups.errors import Held, SecretsLocked
from backups.models import Backup, BackupCopy, Database, Repository
from backups.services import place_hold, request_backup, request_delete, request_verify, set_pinned
from covetbackup.access.models import Team, User
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    Conflict,
    DatabaseUnavailable,
    IntegrityError,
    StorageError,
    UnknownRecipient,
)
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.jobs.models import Job
from restores.models import Restore
from tests.support.postgres import PostgresServer
from tests.web.catalog import (
    FakeWork,
    end,
    folder_of,
    make_repository,
    postgres_at,
    reload,
    stored_files,
)
from tests.web.factories import make_repository_row

pytest_plugins = ["tests.web.catalog_fixtures"]


def taken(database: Database, **options: object) -> Backup:
    """A finished backup of `database`."""
    backup = request_backup(database, user=None, **options)  # type: ignore[arg-type]
    tasks.run_backup(FakeWork(backup.job))
    end(backup.job, "succeeded")
    return reload(backup)


def copies(backup: Backup) -> dict[str, str]:
    return dict(backup.copies.values_list("repository__name", "state"))


def test_a_backup_is_recorded_with_all_that_its_manifest_says(
    shop: Database, repository: Repository, operator: User
) -> None:
    backup = request_backup(shop, user=operator, codec="gzip:6", note="before the move")
    assert (backup.state, backup.job.queue, backup.job.requested_by) == (
        "pending",
        "jobs",
        operator,
    )
    work = FakeWork(backup.job)

    tasks.run_backup(work)

    backup = reload(backup)
    assert (backup.state, copies(backup)) == ("available", {"first": "stored"})
    assert (backup.table_count, backup.row_count, backup.codec) == (1, 500, "gzip:6")
    assert backup.cipher == "aes-256-gcm" and backup.note == "before the move"
    assert backup.plain_bytes == (Path(shop.server.folder) / "shop.db").stat().st_size
    assert 0 < (backup.stored_bytes or 0) < backup.plain_bytes and backup.ratio > 1
    assert backup.finished_at >= backup.started_at and backup.server_version
    assert [table["name"] for table in backup.inventory["tables"]] == ["item"]
    names = [phase["name"] for phase in backup.phases]
    assert names == work.phases and names[-1] == "publishing"
    stored = next(p for p in backup.phases if p["name"] == "storing main.sqlite")
    assert stored["bytes"] == backup.plain_bytes and stored["seconds"] > 0
    assert work.confirmed == 1


def test_the_catalog_and_the_repository_agree(shop: Database, repository: Repository) -> None:
    backup = taken(shop)
    opened = engine_factory.open_repository(repository)
    label = Label.parse(backup.label)
    manifest = open_backup(opened, label, engine_factory.keyring_for(repository.team)).manifest

    assert label.backup_id == backup.pk.bytes
    assert manifest.details and manifest.details.database == "shop.db"
    assert manifest.stored_size == backup.stored_bytes
    assert len(backup.manifest_sha256) == 64


def test_a_copy_that_fails_leaves_a_degraded_backup(
    shop: Database, repository: Repository, vault: Path, team: Team
) -> None:
    away = make_repository(team, vault / "away")
    backup = request_backup(shop, user=None, repositories=[repository, away])
    (vault / "away").rename(vault / "unmounted")

    tasks.run_backup(FakeWork(backup.job))

    backup = reload(backup)
    assert backup.state == "degraded" and backup.is_restorable
    assert copies(backup) == {"first": "stored", "away": "failed"}
    assert "covet.json" in backup.copies.get(repository=away).problem


def test_a_backup_that_no_repository_can_take_says_why(
    shop: Database, repository: Repository, vault: Path
) -> None:
    backup = request_backup(shop, user=None)
    (vault / "first").rename(vault / "unmounted")
    with pytest.raises(BadSetting, match="first is not a repository"):
        tasks.run_backup(FakeWork(backup.job))

    tasks.job_ended(end(backup.job, "failed", "first is not a repository"))
    backup = reload(backup)
    assert (backup.state, backup.error) == ("failed", "first is not a repository")
    assert copies(backup) == {"first": "failed"}


def test_a_source_that_is_not_there_leaves_nothing_and_a_failed_backup(
    shop: Database, repository: Repository
) -> None:
    backup = request_backup(shop, user=None)
    os.rename(Path(shop.server.folder) / "shop.db", Path(shop.server.folder) / "moved")
    with pytest.raises(DatabaseUnavailable):
        tasks.run_backup(FakeWork(backup.job))

    tasks.job_ended(end(backup.job, "failed", "gone"))
    assert reload(backup).state == "failed" and stored_files(repository) == []


@pytest.mark.parametrize("phase", ["storing", "publishing"])
def test_a_cancelled_backup_leaves_nothing_in_the_repository(
    shop: Database, repository: Repository, phase: str
) -> None:
    backup = request_backup(shop, user=None)
    with pytest.raises(Cancelled):
        tasks.run_backup(FakeWork(backup.job, cancel_at=phase))

    tasks.job_ended(end(backup.job, "cancelled"))
    backup = reload(backup)
    assert (backup.state, backup.error) == ("cancelled", "its job was cancelled")
    assert stored_files(repository) == []


def test_an_attempt_after_a_failed_one_takes_a_label_of_its_own(
    shop: Database, repository: Repository
) -> None:
    backup = request_backup(shop, user=None)
    with pytest.raises(Cancelled):
        tasks.run_backup(FakeWork(backup.job, cancel_at="publishing"))
    first = reload(backup).label

    tasks.run_backup(FakeWork(backup.job, attempt=2))

    backup = reload(backup)
    assert backup.state == "available" and backup.label != first
    assert Label.parse(backup.label).backup_id != Label.parse(first).backup_id


DIE_WHILE = """
import os, signal, sys
import django; django.setup()
from pathlib import Path
from django.test import override_settings
from backups import tasks
from covetbackup.jobs.models import Job
from tests.web.catalog import FakeWork

class Dying(FakeWork):
    def phase(self, name, total=None):
        if name == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
    def advance(self, count):
        unfinished = (path.name for path in Path(sys.argv[2]).rglob("*"))
        if sys.argv[3] == "middle" and any(name.startswith(".") for name in unfinished):
            os.kill(os.getpid(), signal.SIGKILL)

vault = Path(sys.argv[2])
with override_settings(CATALOG_KEYS_FILE=vault / "catalog-keys", REPOSITORY_ROOTS=[vault]):
    job = Job.objects.get(pk=sys.argv[1])
    tasks.run_backup(Dying(job))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die(job: Job, vault: Path, when: str) -> None:
    """Run the job in a process of its own, which is killed at the phase `when`."""
    connection.close()
    done = subprocess.run(
        [sys.executable, "-c", DIE_WHILE, str(job.pk), str(vault), when],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("when", ["middle", "publishing"])
def test_what_a_killed_runner_left_is_swept_when_its_job_ends(
    committed_catalog: Path, vault: Path, shop: Database, repository: Repository, when: str
) -> None:
    intact = taken(shop)
    before = stored_files(repository)
    backup = request_backup(shop, user=None)
    die(backup.job, vault, when)
    assert stored_files(repository) != before and reload(backup).state == "pending"

    tasks.job_ended(end(backup.job, "interrupted", "the worker died"))
    tasks.job_ended(backup.job)

    backup = reload(backup)
    assert (backup.state, backup.error, backup.label) == ("interrupted", "the worker died", "")
    assert stored_files(repository) == before and reload(intact).state == "available"


def test_the_attempt_after_a_killed_one_sweeps_what_it_left(
    committed_catalog: Path, vault: Path, shop: Database, repository: Repository
) -> None:
    backup = request_backup(shop, user=None)
    die(backup.job, vault, "publishing")
    left = stored_files(repository)

    tasks.run_backup(FakeWork(Job.objects.get(pk=backup.job.pk), attempt=2))

    assert left and not set(left) & set(stored_files(repository))
    assert reload(backup).state == "available"


def test_a_backup_published_by_a_runner_that_died_after_it_is_not_lost(
    committed_catalog: Path, vault: Path, shop: Database, repository: Repository
) -> None:
    backup = request_backup(shop, user=None)
    die(backup.job, vault, "never, so at the end")
    Backup.objects.filter(pk=backup.pk).update(state="pending", row_count=None)
    BackupCopy.objects.update(state="pending", stored_at=None)

    tasks.job_ended(end(backup.job, "interrupted"))

    backup = reload(backup)
    assert (backup.state, backup.row_count, copies(backup)) == (
        "available",
        500,
        {"first": "stored"},
    )


def test_leftovers_that_cannot_be_reached_are_swept_at_the_next_try(
    committed_catalog: Path, vault: Path, shop: Database, repository: Repository
) -> None:
    backup = request_backup(shop, user=None)
    die(backup.job, vault, "publishing")
    (vault / "first").rename(vault / "unmounted")
    with pytest.raises((StorageError, BadSetting)):
        tasks.job_ended(end(backup.job, "interrupted", "the worker died"))
    assert reload(backup).state == "interrupted"  # known at once, whatever the repository does

    (vault / "unmounted").rename(vault / "first")
    tasks.job_ended(backup.job)
    assert stored_files(repository) == [] and reload(backup).label == ""


def test_without_the_catalog_key_no_backup_is_asked_for_or_run(
    shop: Database, repository: Repository, vault: Path
) -> None:
    backup = request_backup(shop, user=None)
    (vault / "catalog-keys").unlink()
    with pytest.raises(SecretsLocked):
        request_backup(shop, user=None)
    with pytest.raises(SecretsLocked):
        tasks.run_backup(FakeWork(backup.job))
    assert stored_files(repository) == []


def test_a_team_without_keys_gets_no_unencrypted_backup_by_mistake(
    vault: Path, shop: Database, team: Team
) -> None:
    repository = make_repository(team, vault / "first")
    backup = request_backup(shop, user=None)
    with pytest.raises(BadSetting):
        tasks.run_backup(FakeWork(backup.job))
    assert stored_files(repository) == []


def test_a_second_backup_is_not_asked_for_while_one_waits(
    shop: Database, repository: Repository
) -> None:
    request_backup(shop, user=None)
    with pytest.raises(Conflict, match="waiting already"):
        request_backup(shop, user=None)
    assert Backup.objects.count() == Job.objects.count() == 1


@pytest.mark.parametrize("options", [{"codec": "rar:3"}, {"cipher": "rot13"}, {"repositories": []}])
def test_a_request_that_makes_no_sense_writes_nothing(
    shop: Database, repository: Repository, options: dict[str, object]
) -> None:
    with pytest.raises(BadSetting):
        request_backup(shop, user=None, **options)  # type: ignore[arg-type]
    assert not Backup.objects.exists() and not Job.objects.exists()


def test_a_backup_never_goes_to_another_teams_repository(
    shop: Database, repository: Repository, other_team: Team
) -> None:
    foreign = make_repository_row(other_team)
    with pytest.raises(BadSetting, match="another team"):
        request_backup(shop, user=None, repositories=[foreign])


@pytest.mark.parametrize("level", ["exists", "checksum", "sampled", "content"])
def test_a_sound_backup_passes_at_every_level(
    shop: Database, repository: Repository, level: str
) -> None:
    backup = taken(shop)
    tasks.run_verify(FakeWork(request_verify(backup, level, user=None)))

    backup = reload(backup)
    assert (backup.verified_level, backup.verify_problem) == (level, "")
    assert copies(backup) == {"first": "stored" if level == "exists" else "verified"}


def damage(backup: Backup, repository: Repository) -> None:
    member = next((folder_of(repository) / "b").rglob("main.sqlite.zst.cvb"))
    data = bytearray(member.read_bytes())
    data[len(data) // 2] ^= 1
    member.write_bytes(data)


def test_damage_is_found_recorded_and_makes_the_backup_unusable(
    shop: Database, repository: Repository
) -> None:
    backup = taken(shop)
    damage(backup, repository)
    with pytest.raises(IntegrityError, match=r"main\.sqlite"):
        tasks.run_verify(FakeWork(request_verify(backup, "checksum", user=None)))

    backup = reload(backup)
    assert (backup.state, copies(backup)) == ("failed", {"first": "corrupt"})
    assert "main.sqlite" in backup.verify_problem and backup.verified_at is None


def test_one_good_copy_keeps_a_damaged_backup_restorable(
    shop: Database, repository: Repository, vault: Path, team: Team
) -> None:
    second = make_repository(team, vault / "second")
    backup = taken(shop, repositories=[repository, second])
    damage(backup, second)
    with pytest.raises(IntegrityError):
        tasks.run_verify(FakeWork(request_verify(backup, "content", user=None)))

    backup = reload(backup)
    assert backup.state == "degraded" and backup.is_restorable
    assert copies(backup) == {"first": "verified", "second": "corrupt"}


def test_a_look_at_some_of_it_does_not_take_damage_back(
    shop: Database, repository: Repository
) -> None:
    backup = taken(shop)
    damage(backup, repository)
    with pytest.raises(IntegrityError):
        tasks.run_verify(FakeWork(request_verify(backup, "checksum", user=None)))
    tasks.run_verify(FakeWork(request_verify(reload(backup), "exists", user=None)))
    assert reload(backup).state == "failed"


def test_objects_that_vanished_are_missing_not_corrupt(
    shop: Database, repository: Repository
) -> None:
    backup = taken(shop)
    next((folder_of(repository) / "b").rglob("main.sqlite.zst.cvb")).unlink()
    with pytest.raises(IntegrityError):
        tasks.run_verify(FakeWork(request_verify(backup, "exists", user=None)))
    assert copies(reload(backup)) == {"first": "missing"}


def test_a_missing_key_says_nothing_about_the_backup(
    shop: Database, repository: Repository, team: Team
) -> None:
    backup = taken(shop)
    team.keys.exclude(kind="sign").delete()
    with pytest.raises(UnknownRecipient):
        tasks.run_verify(FakeWork(request_verify(backup, "content", user=None)))
    assert (reload(backup).state, reload(backup).verify_problem) == ("available", "")


def test_a_removed_backup_is_gone_from_every_repository_and_the_catalog(
    shop: Database, repository: Repository, vault: Path, team: Team
) -> None:
    second = make_repository(team, vault / "second")
    kept = taken(shop)
    before = stored_files(repository)
    backup = taken(shop, repositories=[repository, second])
    job = request_delete(backup, user=None)
    assert reload(backup).state == "expiring"

    tasks.run_delete(FakeWork(job))
    tasks.job_ended(end(job, "succeeded"))

    assert stored_files(repository) == before and stored_files(second) == []
    assert list(Backup.objects.all()) == [kept]


def test_a_backup_that_history_refers_to_stays_as_a_removed_row(
    shop: Database, repository: Repository
) -> None:
    backup = taken(shop)
    Restore.objects.create(
        backup=backup, target_server=shop.server, request=RestoreRequest("copy.db")
    )
    tasks.run_delete(FakeWork(request_delete(backup, user=None)))
    assert (reload(backup).state, stored_files(repository)) == ("removed", [])


def test_a_pinned_or_held_backup_is_not_removed(shop: Database, repository: Repository) -> None:
    backup = taken(shop)
    set_pinned(backup, True)
    with pytest.raises(Held, match="pinned"):
        request_delete(backup, user=None)
    set_pinned(backup, False)
    hold = place_hold(backup, "a restore reads it")
    with pytest.raises(Held, match="a restore reads it"):
        request_delete(backup, user=None)
    assert reload(backup).state == "available" and not Job.objects.filter(kind="delete").exists()
    hold.delete()
    request_delete(backup, user=None)


def test_a_backup_pinned_after_it_was_to_be_removed_stays(
    shop: Database, repository: Repository
) -> None:
    backup = taken(shop)
    job = request_delete(backup, user=None)
    set_pinned(backup, True)
    before = stored_files(repository)
    with pytest.raises(Held):
        tasks.run_delete(FakeWork(job))
    assert reload(backup).state == "available" and stored_files(repository) == before


def test_what_is_being_removed_cannot_be_held_for_a_restore(
    shop: Database, repository: Repository
) -> None:
    backup = taken(shop)
    request_delete(backup, user=None)
    with pytest.raises(Conflict, match="cannot be restored"):
        place_hold(backup, "too late")


def test_a_removal_that_was_stopped_can_be_asked_for_again(
    shop: Database, repository: Repository, vault: Path
) -> None:
    backup = taken(shop)
    job = request_delete(backup, user=None)
    (vault / "first").rename(vault / "unmounted")
    with pytest.raises(BadSetting):
        tasks.run_delete(FakeWork(job))
    tasks.job_ended(end(job, "failed", "not mounted"))
    assert (reload(backup).state, reload(backup).error) == ("expiring", "not mounted")

    (vault / "unmounted").rename(vault / "first")
    tasks.run_delete(FakeWork(request_delete(reload(backup), user=None)))
    assert not Backup.objects.exists() and stored_files(repository) == []


def test_a_failed_backup_can_be_removed_too(shop: Database, repository: Repository) -> None:
    backup = request_backup(shop, user=None)
    tasks.job_ended(end(backup.job, "failed", "no"))
    tasks.run_delete(FakeWork(request_delete(reload(backup), user=None)))
    assert not Backup.objects.exists()


def test_a_postgresql_database_goes_through_the_catalog(
    vault: Path,
    repository: Repository,
    team: Team,
    postgres_server: PostgresServer,
    postgres_database: str,
) -> None:
    postgres_server.execute(
        postgres_database, "CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id"
    )
    server = postgres_at(team, postgres_server)
    discover(server)
    backup = taken(server.databases.get(name=postgres_database))
    assert (backup.state, backup.row_count, backup.position != "") == ("available", 1000, True)
    tasks.run_verify(FakeWork(request_verify(backup, "content", user=None)))
    assert reload(backup).verified_level == "content"
