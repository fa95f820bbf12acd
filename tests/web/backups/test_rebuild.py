"""The catalog from a repository alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups import engine_factory, installation, tasks
from backups.management.commands.rebuild_catalog import keep_keys
from backups.models import Backup, BackupCopy, Database, Repository, Server
from backups.onboarding import add_repository
from backups.rebuild import RECREATED, Rebuilt, rebuild
from backups.services import request_backup, request_verify
from covetbackup.access.models import Team
from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Silent
from covetbackup.jobs.models import Job
from tests.web.catalog import FakeWork, folder_of, make_repository, reload, stored_files

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def lost(shop: Database, repository: Repository, vault: Path, team: Team) -> Backup:
    """A backup in two repositories, as it was recorded, of a catalog that is empty again."""
    second = make_repository(team, vault / "second")
    backup = request_backup(shop, user=None, repositories=[repository, second])
    tasks.run_backup(FakeWork(backup.job))
    before = reload(backup)
    for model in (BackupCopy, Backup, Database, Server, Job, Repository):
        model.objects.all().delete()
    team.keys.all().delete()
    return before


def again(team: Team, vault: Path, name: str, *keys: Path) -> Rebuilt:
    row = team.repositories.filter(name=name).first()
    row = row or add_repository(
        Repository(team=team, name=name, url=f"file://{vault / name}"), None
    )
    ring = Keyring.of([key for path in keys for key in keyfile.read(path)])
    return rebuild(row, keyring=ring, progress=Silent())


def test_everything_about_a_backup_comes_back_with_the_recovery_key_alone(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    result = again(team, vault, "first", keys)

    assert (result.added, result.sealed, result.untrusted) == ([lost.label], [], [])
    backup = Backup.objects.get()
    assert backup.pk == lost.pk
    for name in (
        "label state method codec cipher server_version tool_version consistent_at started_at "
        "finished_at plain_bytes stored_bytes table_count row_count inventory manifest_sha256"
    ).split():
        assert getattr(backup, name) == getattr(lost, name), name
    assert backup.created_at == lost.started_at
    server = backup.database.server
    assert (backup.database.name, server.kind, server.problem) == ("shop.db", "sqlite", RECREATED)


def test_a_second_repository_adds_a_copy_not_a_backup(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    again(team, vault, "first", keys)
    result = again(team, vault, "second", keys)
    assert (result.added, result.known) == ([], [lost.label])
    assert {c.repository.name for c in Backup.objects.get().copies.all()} == {"first", "second"}


def test_rebuilding_twice_changes_nothing(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    again(team, vault, "first", keys)
    files, rows = stored_files(team.repositories.get()), list(Backup.objects.values())
    again(team, vault, "first", keys)
    assert list(Backup.objects.values()) == rows
    assert stored_files(team.repositories.get()) == files


def test_without_a_key_backups_are_listed_as_sealed_and_opened_later(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    result = again(team, vault, "first")
    assert result.sealed == [lost.label]
    backup = Backup.objects.get()
    assert (backup.state, backup.plain_bytes) == ("available", None)
    assert backup.stored_bytes == lost.stored_bytes and "sealed" in backup.warnings[0]

    again(team, vault, "first", keys)

    backup = Backup.objects.get()
    assert (backup.row_count, backup.database.name, backup.warnings) == (500, "shop.db", [])
    assert Server.objects.count() == Database.objects.count() == 1


def test_a_backup_by_a_stranger_is_marked_as_such(
    vault: Path, team: Team, keys: Path, lost: Backup, tmp_path: Path
) -> None:
    secret_only = tmp_path / "no-signer.key"
    recovery = [key for key in keyfile.read(keys) if not hasattr(key, "signer_id")]
    keyfile.create(secret_only, recovery, title="the recovery key without the signer")

    result = again(team, vault, "first", secret_only)

    assert result.untrusted == [lost.label]
    assert "whom no key of this team trusts" in Backup.objects.get().warnings[0]


def test_a_backup_whose_objects_are_missing_is_not_restorable(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    next((vault / "first" / "b").rglob("main.sqlite.zst.cvb")).unlink()
    result = again(team, vault, "first", keys)
    assert result.incomplete == [lost.label]
    assert Backup.objects.get().state == "failed"

    again(team, vault, "second", keys)
    assert Backup.objects.get().state == "degraded"


def test_a_damaged_manifest_is_named_and_stops_nothing(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    manifest = next((vault / "first" / "b").rglob("manifest.json"))
    manifest.write_bytes(manifest.read_bytes().replace(b"sqlite", b"sqlitf"))
    result = again(team, vault, "first", keys)
    assert list(result.damaged) == [lost.label] and not Backup.objects.exists()


def test_with_the_keys_kept_the_new_catalog_can_verify_and_back_up(
    vault: Path, team: Team, keys: Path, lost: Backup
) -> None:
    installation.make_keys(team)
    keep_keys(team, keyfile.read(keys))
    again(team, vault, "first", keys)

    tasks.run_verify(FakeWork(request_verify(Backup.objects.get(), "content", user=None)))
    assert Backup.objects.get().verified_level == "content"
    imported = set(team.keys.filter(state="decrypt-only").values_list("key_id", flat=True))
    wrapping = {key.key_id for key in engine_factory.writing_keyring_for(team).wrapping}
    assert len(imported) == 2 and not imported & wrapping


def test_a_working_keys_signer_is_not_imported(vault: Path, team: Team, tmp_path: Path) -> None:
    working = tmp_path / "working.key"
    keyfile.create(working, installation.new_keys().working, title="working")
    with pytest.raises(BadSetting, match="one key only"):
        keep_keys(team, keyfile.read(working))


def test_where_a_backup_came_from_becomes_a_placeholder_of_that_kind(
    vault: Path, team: Team, keys: Path, lost: Backup, tmp_path: Path
) -> None:
    again(team, vault, "first", keys)
    server = Server.objects.get()
    assert server.folder == str(tmp_path / "shop") and server.name.endswith("/shop")
    assert Database.objects.get().state == "gone"
    assert folder_of(team.repositories.get()) == vault / "first"
