"""Copies that a backup lacks are made from those that are there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from backups import copy_tasks, tasks
from backups.copy_requests import ATTEMPTS, request_copy, request_missing
from backups.copy_tasks import copy_ended, run_copy
from backups.models import Backup, BackupCopy, Database, Repository
from backups.services import request_backup, request_verify
from covetbackup.access.models import Team
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    Conflict,
    IntegrityError,
    StorageUnavailable,
)
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.jobs.models import Job
from tests.web.catalog import FakeWork, end, folder_of, make_repository, reload, stored_files
from tests.web.factories import make_repository_row

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def away(vault: Path, team: Team) -> Repository:
    """A second repository of the team."""
    return make_repository(team, vault / "away")


@pytest.fixture
def degraded(shop: Database, repository: Repository, away: Repository) -> Backup:
    """In the first repository, but not in `away`, which is there again."""
    unmount(away)
    backup = request_backup(shop, user=None, repositories=[repository, away])
    tasks.run_backup(FakeWork(backup.job))
    tasks.job_ended(end(backup.job, "succeeded"))
    mount(away)
    return reload(backup)


def unmount(repository: Repository) -> None:
    folder_of(repository).rename(folder_of(repository).with_name(f"{repository.name}-unmounted"))


def mount(repository: Repository) -> None:
    folder_of(repository).with_name(f"{repository.name}-unmounted").rename(folder_of(repository))


def copies(backup: Backup) -> dict[str, str]:
    return {copy.repository.name: copy.state for copy in backup.copies.select_related("repository")}


def contents(repository: Repository) -> dict[str, bytes]:
    return {name: (folder_of(repository) / name).read_bytes() for name in stored_files(repository)}


def damage(repository: Repository) -> None:
    member = next((folder_of(repository) / "b").rglob("main.sqlite.zst.cvb"))
    bad = bytearray(member.read_bytes())
    bad[-1] ^= 1
    member.write_bytes(bad)


def copy_job() -> Job:
    return Job.objects.get(kind="copy")


def test_a_missing_copy_is_made_without_reading_the_database_again(
    degraded: Backup, shop: Database, repository: Repository, away: Repository
) -> None:
    (Path(shop.server.folder) / shop.name).unlink()
    job = copy_job()
    assert (job.requested_by, job.max_attempts) == (None, ATTEMPTS)
    assert degraded.copies.get(repository=away).job == job

    work = FakeWork(job)
    run_copy(work)
    copy_ended(end(job, "succeeded"))

    assert work.confirmed == 1
    assert contents(away) == contents(repository) != {}
    assert reload(degraded).state == "available"
    assert copies(degraded) == {"first": "stored", "away": "stored"}


def test_the_end_of_a_backup_asks_for_each_missing_copy_once(degraded: Backup) -> None:
    tasks.job_ended(degraded.job)
    assert Job.objects.filter(kind="copy").count() == 1
    end(copy_job(), "failed")
    tasks.job_ended(degraded.job)
    assert Job.objects.filter(kind="copy").count() == 1


def test_a_repository_that_is_still_away_is_tried_again_later(
    degraded: Backup, away: Repository
) -> None:
    unmount(away)
    with pytest.raises(StorageUnavailable, match=r"covet\.json"):
        run_copy(FakeWork(copy_job()))
    mount(away)
    run_copy(FakeWork(copy_job(), attempt=2))
    assert reload(degraded).state == "available"


def test_a_copy_that_was_given_up_stays_missing_and_can_be_asked_for(
    degraded: Backup, away: Repository
) -> None:
    copy_ended(end(copy_job(), "failed", "the disk is away"))
    copy = degraded.copies.get(repository=away)
    assert (copy.state, copy.problem) == ("failed", "the disk is away")
    assert reload(degraded).state == "degraded"
    (job,) = request_missing(reload(degraded), user=None)
    run_copy(FakeWork(job))
    assert reload(degraded).state == "available"


def test_asked_for_twice_it_is_the_same_job(degraded: Backup, away: Repository) -> None:
    assert request_missing(degraded, user=None) == [copy_job()]
    assert request_copy(degraded, away, user=None) == copy_job()


def test_a_cancelled_copy_leaves_nothing(degraded: Backup, away: Repository) -> None:
    job = copy_job()
    with pytest.raises(Cancelled):
        run_copy(FakeWork(job, cancel_at="publishing"))
    assert stored_files(away) != []
    end(job, "cancelled")
    copy_ended(job)
    copy_ended(job)
    assert stored_files(away) == [] and copies(degraded)["away"] == "failed"
    assert "cancelled" in degraded.copies.get(repository=away).problem


def test_while_leftovers_are_removed_no_new_copy_is_begun(
    degraded: Backup, away: Repository
) -> None:
    job = end(copy_job(), "failed")
    Job.objects.filter(pk=job.pk).update(hook_due_at=job.run_after)
    with pytest.raises(Conflict, match="being removed"):
        request_copy(degraded, away, user=None)


DIE_WHILE = """
import os, signal, sys
import django; django.setup()
from pathlib import Path
from django.test import override_settings
from backups.copy_tasks import run_copy
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.jobs.models import Job
from tests.web.catalog import FakeWork

class Dying(FakeWork):
    def phase(self, name, total=None):
        if name == "publishing":
            os.kill(os.getpid(), signal.SIGKILL)

vault = Path(sys.argv[1])
with override_settings(CATALOG_KEYS_FILE=vault / "catalog-keys", REPOSITORY_ROOTS=[vault]):
    run_copy(Dying(Job.objects.get(kind="copy")))
"""


def die(vault: Path) -> None:
    """Make the copy in a process of its own, which is killed right before the end."""
    connection.close()
    done = subprocess.run(
        [sys.executable, "-c", DIE_WHILE, str(vault)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL


def test_a_killed_copy_is_finished_by_the_next_attempt(
    committed_catalog: Path, vault: Path, degraded: Backup, repository: Repository, away: Repository
) -> None:
    die(vault)
    assert stored_files(away) != [] and copies(degraded)["away"] == "failed"
    run_copy(FakeWork(copy_job(), attempt=2))
    assert contents(away) == contents(repository)


def test_a_killed_copy_without_attempts_left_leaves_nothing(
    committed_catalog: Path, vault: Path, degraded: Backup, away: Repository
) -> None:
    die(vault)
    copy_ended(end(copy_job(), "interrupted", "its worker was killed"))
    assert stored_files(away) == [] and reload(degraded).state == "degraded"


def published_unrecorded(away: Repository) -> Job:
    """The copy's job, whose runner died after the last step."""
    job = copy_job()
    run_copy(FakeWork(job))
    BackupCopy.objects.filter(repository=away).update(state="failed", stored_at=None)
    Backup.objects.update(state="degraded")
    return end(job, "interrupted", "its worker was killed")


def test_a_copy_whose_runner_died_after_the_last_step_is_stored_once_a_runner_has_read_it(
    degraded: Backup, away: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = published_unrecorded(away)
    with monkeypatch.context() as patched:
        patched.delattr(copy_tasks, "verify_backup")  # hours, which a hook has not
        copy_ended(job)
        copy_ended(job)
    assert copies(degraded)["away"] == "failed" and stored_files(away) != []
    again = Job.objects.get(kind="copy", state="queued")
    run_copy(FakeWork(again))
    assert reload(degraded).state == "available"


def test_a_copy_that_is_damaged_is_never_called_stored_by_the_end_of_its_job(
    degraded: Backup, repository: Repository, away: Repository
) -> None:
    job = published_unrecorded(away)
    damage(away)
    copy_ended(job)
    damage(repository)
    again = Job.objects.get(kind="copy", state="queued")
    with pytest.raises(IntegrityError, match="damaged too"):
        run_copy(FakeWork(again))
    copy_ended(end(again, "interrupted", "its worker was killed"))
    assert copies(degraded)["away"] == "failed" and stored_files(away) != []
    assert not Job.objects.filter(kind="copy", state="queued").exists()


def test_a_damaged_source_makes_no_copy(
    degraded: Backup, repository: Repository, away: Repository
) -> None:
    damage(repository)
    with pytest.raises(IntegrityError):
        run_copy(FakeWork(copy_job()))
    copy_ended(end(copy_job(), "failed", "damaged"))
    assert stored_files(away) == [] and reload(degraded).state == "degraded"


def test_a_second_source_makes_up_for_a_damaged_first(
    degraded: Backup, repository: Repository, away: Repository, vault: Path, team: Team
) -> None:
    run_copy(FakeWork(copy_job()))
    copy_ended(end(copy_job(), "succeeded"))
    whole = contents(repository)
    damage(repository)
    third = make_repository(team, vault / "third")
    work = FakeWork(request_copy(reload(degraded), third, user=None))
    run_copy(work)
    assert contents(third) == whole
    assert "not copied from first" in work.notes[0]


def test_a_damaged_copy_is_replaced_once_its_source_is_known_to_be_whole(
    degraded: Backup, repository: Repository, away: Repository
) -> None:
    run_copy(FakeWork(copy_job()))
    copy_ended(end(copy_job(), "succeeded"))
    damage(away)
    with pytest.raises(IntegrityError):
        tasks.run_verify(FakeWork(request_verify(reload(degraded), "checksum", user=None)))
    assert copies(degraded) == {"first": "verified", "away": "corrupt"}

    (job,) = request_missing(reload(degraded), user=None)
    whole = contents(repository)
    damage(repository)
    with pytest.raises(IntegrityError, match="damaged too"):
        run_copy(FakeWork(job))
    copy_ended(end(job, "failed", "damaged"))
    assert stored_files(away) != [] and copies(degraded)["away"] == "corrupt"

    for name, data in whole.items():
        (folder_of(repository) / name).write_bytes(data)
    (job,) = request_missing(reload(degraded), user=None)
    run_copy(FakeWork(job))
    assert contents(away) == whole and reload(degraded).state == "available"


def test_a_copy_can_go_to_a_repository_that_is_new_to_the_backup(
    degraded: Backup, vault: Path, team: Team, other_team: Team
) -> None:
    third = make_repository(team, vault / "third")
    run_copy(FakeWork(request_copy(degraded, third, user=None)))
    assert copies(degraded)["third"] == "stored"
    with pytest.raises(BadSetting, match="another team"):
        request_copy(degraded, make_repository_row(other_team), user=None)


def test_what_is_there_or_cannot_be_restored_is_not_copied(
    degraded: Backup, repository: Repository
) -> None:
    with pytest.raises(Conflict, match="already"):
        request_copy(degraded, repository, user=None)
    Backup.objects.update(state="failed")
    with pytest.raises(Conflict, match="nothing to copy"):
        request_missing(degraded, user=None)


def test_a_lost_index_leaves_a_copy_good_and_is_mended_by_copying_again(
    degraded: Backup, repository: Repository, away: Repository
) -> None:
    run_copy(FakeWork(copy_job()))
    end(copy_job(), "succeeded")
    whole = contents(away)
    index = next((folder_of(away) / "b").rglob("*.index.cvb"))
    index.write_bytes(index.read_bytes()[:-1])

    check = request_verify(reload(degraded), VerifyLevel.CONTENT, user=None)
    tasks.run_verify(FakeWork(check))
    end(check, "succeeded")
    copy = degraded.copies.get(repository=away)
    assert (copy.state, reload(degraded).state) == ("verified", "available")
    assert "main.sqlite.index.cvb" in copy.problem

    (job,) = request_missing(reload(degraded), user=None)
    run_copy(FakeWork(job))
    assert contents(away) == whole
    copy.refresh_from_db()
    assert (copy.state, copy.problem) == ("stored", "")
    with pytest.raises(Conflict):
        request_missing(reload(degraded), user=None)
