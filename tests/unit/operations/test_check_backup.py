"""The checks of a backup before a restore, and what an engine gets of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from covetbackup.core.crypto.keyring import Keyring, new_keys
from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import KeyUnavailable
from covetbackup.core.operations import check_backup as module
from covetbackup.core.operations.check_backup import BackupChecks, check_backup
from covetbackup.core.repository.repository import BackupRepository
from tests.support.doubles import make_backup, make_keys, make_repository

MEMBERS = {"a": b"x" * 3000, "b": b"y" * 20}
REQUEST = RestoreRequest("copy", jobs=1)


@pytest.fixture(autouse=True)
def _without_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of the double is not registered: it has no options and no table of contents."""

    class Features:
        has_superusers = False

    monkeypatch.setattr(module, "restore_features", lambda kind: Features)


def levels(found: BackupChecks) -> dict[str, Level]:
    return {check.title: check.level for check in found.checks}


def by_title(found: BackupChecks, title: str) -> Check:
    [check] = [check for check in found.checks if check.title == title]
    return check


def test_a_whole_backup_passes_with_one_read_of_its_manifest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, MEMBERS, keyring).manifest.label
    reads: list[Any] = []
    once: Callable[..., bytes] = BackupRepository.manifest_bytes

    def counted(self: BackupRepository, *given: Any) -> bytes:
        reads.append(given)
        return once(self, *given)

    monkeypatch.setattr(BackupRepository, "manifest_bytes", counted)
    found = check_backup(repository, label, REQUEST, keyring=keyring)
    assert set(levels(found).values()) == {Level.PASS}
    assert len(reads) == 1
    assert found.manifest is not None
    inventory = found.manifest.opened.inventory
    planned = found.planned_restore(REQUEST, inventory, None, "")
    assert (planned.request, planned.expected, planned.plain_bytes) == (REQUEST, inventory, 3020)
    assert planned.method == found.manifest.method


def test_a_missing_object_a_missing_manifest_and_no_key_fail_their_checks() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, MEMBERS, keyring).manifest.label
    no_key = check_backup(repository, label, REQUEST, keyring=Keyring.of([]))
    assert levels(no_key) == {"Objects": Level.PASS, "Key": Level.FAIL}
    locked = check_backup(repository, label, REQUEST, keyring=KeyUnavailable("it is locked"))
    assert by_title(locked, "Key").detail == "It is locked."
    name = repository.manifest(label).objects[0].name
    repository.storage.delete(label.folder + name)
    damaged = check_backup(repository, label, REQUEST, keyring=keyring)
    assert f"{name} is missing" in by_title(damaged, "Objects").detail
    repository.storage.delete(f"{label.folder}manifest.json")
    gone = check_backup(repository, label, REQUEST, keyring=keyring)
    assert levels(gone) == {"Objects": Level.FAIL, "Key": Level.FAIL}
    assert gone.manifest is None


def test_an_untrusted_backup_fails_unless_it_is_accepted() -> None:
    keys, stranger = new_keys(), new_keys()
    forger = Keyring.of([keys.working[2], stranger.working[2], stranger.working[1]])
    repository = make_repository()
    label = make_backup(repository, MEMBERS, forger).manifest.label
    reader = Keyring.of([*keys.recovery, *keys.working])
    refused = check_backup(repository, label, REQUEST, keyring=reader)
    accepted = check_backup(repository, label, REQUEST, keyring=reader, accept_untrusted=True)
    assert levels(refused)["Signature"] is Level.FAIL
    assert levels(accepted)["Signature"] is Level.WARNING
