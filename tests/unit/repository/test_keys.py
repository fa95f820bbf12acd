"""Opening with the keys at hand, damaged keys objects, trust, and rotation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from covetbackup.core.crypto.keyring import Keyring, new_keys
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    CovetError,
    IntegrityError,
    KeyUnavailable,
    Untrusted,
)
from covetbackup.core.operations.copy import copy_backup
from covetbackup.core.operations.restore import restore_backup
from covetbackup.core.operations.rotate import Rotation, rotate_keys
from covetbackup.core.operations.verify import VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository import keys_store
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Trust
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.core.repository.repository import BackupRepository
from tests.support.doubles import (
    MemoryEngine,
    make_backup,
    make_keys,
    make_repository,
    names,
    read,
    replace,
    sample_bytes,
)

DATA = {"dump.bin": sample_bytes(10_000)}


def restored(
    repository: BackupRepository, label: Label, keyring: Keyring, **options: bool
) -> object:
    engine = MemoryEngine()
    request = RestoreRequest("copy")
    restore_backup(
        repository, label, engine, request, keyring=keyring, progress=Silent(), **options
    )
    return engine.restored


def keys_objects(repository: BackupRepository, label: Label) -> list[str]:
    beside = [name for name in names(repository, label.folder) if "/keys." in name]
    return beside + names(repository, "keys-mirror/")


def test_the_recovery_key_alone_restores_and_trusts() -> None:
    keys, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    recovery = Keyring.of(keys.recovery)

    assert open_backup(repository, label, recovery).trust is Trust.SIGNED
    assert restored(repository, label, recovery) == DATA


def test_a_server_with_public_keys_only_writes_what_it_cannot_read() -> None:
    keys, other = new_keys(), new_keys()
    public = [keys.working[2], other.working[2], keys.working[1]]
    repository = make_repository()
    label = make_backup(repository, DATA, Keyring.of(public)).manifest.label

    with pytest.raises(KeyUnavailable, match="x25519-"):
        restored(repository, label, Keyring.of(public))
    assert restored(repository, label, Keyring.of(keys.recovery)) == DATA


def test_a_backup_forged_with_public_keys_is_not_restored() -> None:
    keys, stranger = new_keys(), new_keys()
    forger = [keys.working[2], stranger.working[2], stranger.working[1]]
    repository = make_repository()
    label = make_backup(repository, DATA, Keyring.of(forger)).manifest.label
    owner = Keyring.of([*keys.recovery, *keys.working])

    with pytest.raises(Untrusted):
        restored(repository, label, owner)
    result = verify_backup(
        repository,
        label,
        VerifyLevel.CONTENT,
        keyring=owner,
        check=lambda *_: None,
        progress=Silent(),
    )
    assert any("vouches" in warning for warning in result.warnings)
    assert restored(repository, label, owner, accept_untrusted=True) == DATA


def test_a_stranger_cannot_open() -> None:
    repository = make_repository()
    label = make_backup(repository, DATA, make_keys()[1]).manifest.label

    with pytest.raises(KeyUnavailable):
        restored(repository, label, make_keys()[1])


@pytest.mark.parametrize("lost", [0, 1])
def test_either_copy_of_the_keys_object_is_enough(lost: int) -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    repository.storage.delete(keys_objects(repository, label)[lost])

    assert restored(repository, label, keyring) == DATA


def test_a_damaged_keys_object_is_named_and_its_mirror_used() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    beside, _ = keys_objects(repository, label)
    replace(repository, beside, read(repository, beside)[:-10])

    opened = open_backup(repository, label, keyring)

    assert any(beside in problem for problem in opened.problems)
    assert restored(repository, label, keyring) == DATA


def test_edited_keys_objects_do_not_open() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    other = make_backup(repository, DATA, keyring).manifest.label
    foreign = read(repository, other.folder + "keys.000001.json")
    for name in (
        label.folder + "keys.000001.json",
        f"keys-mirror/{label.backup_id.hex()}.000001.json",
    ):
        replace(repository, name, foreign)

    with pytest.raises((IntegrityError, KeyUnavailable)):
        restored(repository, label, keyring)


@pytest.mark.parametrize("place", [0, 1], ids=["beside", "mirror"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_copy_of_a_backup_opens_though_one_keys_object_was_damaged(
    place: int, damage: str
) -> None:
    _, keyring = make_keys()
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, DATA, keyring).manifest.label
    name = keys_objects(home, label)[place]
    good = read(home, name)
    home.storage.delete(name)
    if damage == "cut":
        replace(home, name, good[:-10])

    copy_backup(home, label, away, progress=Silent())

    assert restored(away, label, keyring) == DATA
    assert len(keys_objects(away, label)) == 2


def rotate(repository: BackupRepository, old: Keyring, new: Keyring) -> list[Rotation]:
    return [r.state for r in rotate_keys(repository, old=old, new=new, progress=Silent())]


def test_rotation_rewraps_and_touches_nothing_else() -> None:
    _, old = make_keys()
    _, new = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, old).manifest.label
    kept = {n: read(repository, n) for n in names(repository, label.folder) if "/keys." not in n}

    assert rotate(repository, old, new) == [Rotation.ROTATED]

    assert restored(repository, label, new, accept_untrusted=True) == DATA
    with pytest.raises(KeyUnavailable):
        restored(repository, label, old)
    assert {name: read(repository, name) for name in kept} == kept
    assert [name[-11:] for name in keys_objects(repository, label)] == ["000002.json"] * 2


def test_rotating_again_changes_nothing() -> None:
    _, old = make_keys()
    _, new = make_keys()
    repository = make_repository()
    make_backup(repository, DATA, old)
    rotate(repository, old, new)
    before = names(repository)

    assert rotate(repository, new, new) == [Rotation.CURRENT]
    assert names(repository) == before


@pytest.mark.parametrize("step", ["write_object", "remove_generation", "_prove"])
def test_a_rotation_cut_off_anywhere_leaves_a_key_that_opens(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from covetbackup.core.operations import rotate as module

    _, old = make_keys()
    _, new = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, old).manifest.label
    place = keys_store if step == "write_object" else module
    real: Callable[..., None] = getattr(place, step)
    calls = []

    def dies_in_the_middle(*args: object, **kwargs: object) -> None:
        calls.append(args)
        if step == "write_object" and "keys-mirror" not in str(args[1]):
            return real(*args, **kwargs)
        raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(place, step, dies_in_the_middle)
        with pytest.raises(Cancelled):
            rotate(repository, old, new)

    assert calls
    assert opens(repository, label, old) or opens(repository, label, new)
    assert rotate(repository, old, new) in ([Rotation.ROTATED], [Rotation.CURRENT])
    assert opens(repository, label, new)
    assert not opens(repository, label, old)
    assert len(keys_objects(repository, label)) == 2


def test_a_rotation_that_meets_another_leaves_its_keys_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from covetbackup.core.operations import rotate as module

    _, old = make_keys()
    _, new = make_keys()
    repository = make_repository()
    label = make_backup(repository, DATA, old).manifest.label
    real = module.open_keys

    def after_the_other(*args: object) -> object:
        opened = real(*args)
        monkeypatch.setattr(module, "open_keys", real)
        assert rotate(repository, old, new) == [Rotation.ROTATED]
        return opened

    monkeypatch.setattr(module, "open_keys", after_the_other)

    assert rotate(repository, old, new) == [Rotation.FAILED]
    assert restored(repository, label, new, accept_untrusted=True) == DATA


@pytest.mark.parametrize("place", [0, 1], ids=["beside", "mirror"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
@pytest.mark.parametrize("same", [True, False], ids=["same keys", "new keys"])
def test_rotation_repairs_a_damaged_keys_object(place: int, damage: str, same: bool) -> None:
    _, old = make_keys()
    new = old if same else make_keys()[1]
    repository = make_repository()
    label = make_backup(repository, DATA, old).manifest.label
    name = keys_objects(repository, label)[place]
    good = read(repository, name)
    repository.storage.delete(name)
    if damage != "missing":
        bad = good[:-10] if damage == "cut" else good.replace(b'"sealed":"', b'"sealed":"A', 1)
        replace(repository, name, bad)

    assert rotate(repository, old, new) in ([Rotation.ROTATED], [Rotation.CURRENT])

    beside, mirror = keys_objects(repository, label)
    assert read(repository, beside) == read(repository, mirror)
    assert open_backup(repository, label, new).problems == ()


def test_rotation_to_too_few_keys_is_refused_at_once() -> None:
    repository = make_repository()
    make_backup(repository, DATA, make_keys()[1])
    before = names(repository)

    with pytest.raises(BadSetting, match="2 independent keys"):
        rotate_keys(
            repository, old=Keyring(), new=Keyring.of(new_keys().recovery), progress=Silent()
        )

    assert names(repository) == before


def opens(repository: BackupRepository, label: Label, keyring: Keyring) -> bool:
    try:
        open_backup(repository, label, keyring)
    except CovetError:
        return False
    return True
