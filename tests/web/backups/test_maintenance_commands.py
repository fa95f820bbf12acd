"""The commands `rotate` and `cleanup` of the catalog, on real repositories and folders."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from backups import engine_factory
from backups.models import Backup, Database, Repository
from covetbackup.access.models import Team
from covetbackup.audit.models import AuditEntry
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.sqlite.restore.staging import RESTORE_PREFIX
from covetbackup.core.errors import KeyUnavailable
from covetbackup.core.manager import BackupManager
from covetbackup.core.operations.verify import VerifyLevel
from tests.web.backups.test_commands import run_json
from tests.web.catalog import folder_of
from tests.web.restores_helper import taken

pytest_plugins = ["tests.web.catalog_fixtures"]

OLD = 3 * 24 * 3600


def opens(backup: Backup, repository: Repository, keyring: Keyring) -> bool:
    manager = BackupManager(engine_factory.open_repository(repository), keyring)
    try:
        return manager.verify_backup(backup.label, VerifyLevel.CONTENT).ok
    except KeyUnavailable:
        return False


def make_old(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"unfinished")
    for each in (path, *list(path.parents)[:3]):
        os.utime(each, (time.time() - OLD,) * 2)
    return path


def test_a_new_working_key_opens_all_backups_and_the_old_one_none(
    team: Team, repository: Repository, shop: Database
) -> None:
    backup, before = taken(shop), engine_factory.writing_keyring_for(team)
    assert opens(backup, repository, before)

    found = run_json("rotate", "--team", team.name)

    assert [row["state"] for row in found["backups"]] == ["rotated"] and found["failed"] == 0
    after = engine_factory.writing_keyring_for(team)
    assert opens(backup, repository, after) and not opens(backup, repository, before)
    states = dict(team.keys.filter(kind="raw").values_list("key_id", "state"))
    assert states.pop(found["key"]) == "active" and list(states.values()) == ["decrypt-only"]
    assert AuditEntry.objects.get(action="key.rotate").details["failed"] == 0


def test_a_rotation_is_finished_without_another_key(
    team: Team, repository: Repository, shop: Database
) -> None:
    taken(shop)
    run_json("rotate")
    found = run_json("rotate", "--finish")
    assert [row["state"] for row in found["backups"]] == ["current"] and found["key"] == ""
    assert team.keys.filter(kind="raw").count() == 2


def test_a_backup_that_cannot_be_read_is_named_and_the_others_are_wrapped(
    team: Team, repository: Repository, shop: Database
) -> None:
    damaged, good = taken(shop), taken(shop)
    (folder_of(repository) / "b" / damaged.label / "manifest.json").write_bytes(b"{}")
    found = run_json("rotate")
    assert (found["status"], found["failed"]) == (1, 1)
    states = {row["label"]: row["state"] for row in found["backups"]}
    assert states == {damaged.label: "failed", good.label: "rotated"}


def test_what_a_killed_backup_left_is_removed_from_a_repository(
    repository: Repository, shop: Database
) -> None:
    backup = taken(shop)
    top = folder_of(repository)
    left = make_old(top / "b" / "shop" / f"20260101T000000Z-{'ab' * 16}" / "main.sqlite.zst.cvb")
    found = run_json("cleanup", repository.name)
    assert found["labels"] == [f"shop/{left.parent.name}"] and found["failures"] == {}
    assert not left.exists()
    assert opens(backup, repository, engine_factory.keyring_for(repository.team))


def test_what_a_killed_restore_left_is_removed_from_a_server(vault: Path, shop: Database) -> None:
    folder = Path(shop.server.folder)
    left, young = folder / f"{RESTORE_PREFIX}{'0' * 16}", folder / f"{RESTORE_PREFIX}{'1' * 16}"
    make_old(left)
    young.write_bytes(b"")
    assert run_json("cleanup", shop.server.name)["restores"] == [left.name]
    assert not left.exists() and young.exists() and (folder / "shop.db").exists()


@pytest.mark.parametrize("hours", ["0", "-1", "100000"])
def test_an_impossible_age_is_refused(repository: Repository, hours: str) -> None:
    found = run_json("cleanup", repository.name, "--older-than", hours)
    assert found["status"] == 2 and "--older-than" in found["error"]["message"]


def test_an_unknown_place_is_refused(repository: Repository) -> None:
    found = run_json("cleanup", "nowhere")
    assert found["status"] == 2 and "repository 'nowhere'" in found["error"]["message"]
