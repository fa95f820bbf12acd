"""Repositories: what makes one, listing, finding, copying, deleting, sweeping."""

from __future__ import annotations

from datetime import timedelta

import pytest

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import (
    BadSetting,
    Conflict,
    IntegrityError,
    ManifestInvalid,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
)
from covetbackup.core.manager import BackupManager
from covetbackup.core.operations.copy import copy_backup, mend_indexes
from covetbackup.core.operations.delete import cleanup_repository, delete_backup, discard_backup
from covetbackup.core.operations.verify import VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository.layout import Label, new_label, slug_of
from covetbackup.core.repository.marker import initialise
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.stream.base import Source
from tests.support.doubles import (
    NOW,
    make_backup,
    make_keys,
    make_repository,
    names,
    read,
    replace,
    sample_bytes,
)
from tests.unit.operations.test_backup import FullDisk
from tests.unit.repository.test_keys import restored

DATA = {"dump.bin": sample_bytes(50_000), "globals.sql": b"CREATE ROLE"}


@pytest.fixture
def keyring() -> Keyring:
    return make_keys()[1]


def test_a_place_without_a_marker_is_no_repository() -> None:
    with pytest.raises(BadSetting, match=r"covet\.json"):
        BackupRepository.open(MemoryStorage(), name="empty")


def test_a_place_that_holds_something_is_not_initialised() -> None:
    repository = make_repository()

    with pytest.raises(Conflict, match="not empty"):
        initialise(repository.storage, NOW)


@pytest.mark.parametrize(
    "marker",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format":"covetbackup-repository/2","id":"x","created_at":"x"}',
        b"\xff",
    ],
)
def test_a_damaged_marker_is_refused(marker: bytes) -> None:
    repository = make_repository()
    replace(repository, "covet.json", marker)

    with pytest.raises(ManifestInvalid, match=r"covet\.json|document"):
        BackupRepository.open(repository.storage, name="first")


def test_a_listing_needs_nothing_but_the_storage(keyring: Keyring) -> None:
    repository = make_repository()
    labels = [
        make_backup(repository, DATA, keyring, started_at=NOW + timedelta(days=day)).manifest.label
        for day in range(3)
    ]

    listed = list(BackupRepository.open(repository.storage, name="again").backups())

    assert [entry.label for entry in listed] == labels
    assert all(entry.manifest and entry.manifest.details is None for entry in listed)


def test_a_damaged_manifest_is_listed_with_its_problem(keyring: Keyring) -> None:
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    replace(repository, label.manifest, b"{}")

    (entry,) = repository.backups()

    assert entry.label == label and isinstance(entry.problem, ManifestInvalid)


def test_backups_are_found_by_label_id_beginning_and_latest(keyring: Keyring) -> None:
    repository = make_repository()
    older = make_backup(repository, DATA, keyring, slug="zoo").manifest.label
    newer = make_backup(
        repository, DATA, keyring, slug="ant", started_at=NOW + timedelta(days=1)
    ).manifest.label

    assert repository.find(str(older)) == older
    assert repository.find(newer.backup_id.hex()[:8]) == newer
    assert repository.find("latest") == newer
    for text in ("", "abc", "zoo", "nothing"):
        with pytest.raises(BadSetting):
            repository.find(text)


@pytest.mark.parametrize(
    "text",
    [
        "shop",
        "shop/20260301T120000Z-12",
        "../20260301T120000Z-" + "0" * 32,
        "shop/20269901T120000Z-" + "0" * 32,
        "shop/20260301T120000Z-" + "0" * 32 + "/x",
        "Shop/20260301T120000Z-" + "0" * 32,
    ],
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="label"):
        Label.parse(text)


@pytest.mark.parametrize(
    "name", ["quo'te", 'dou"ble', "new\nline", "-rf", "😀", "x" * 63, "a/b", ""]
)
def test_any_database_name_gets_a_slug_that_labels_accept(name: str) -> None:
    slug = slug_of("postgresql", "localhost:5432", name)

    assert Label.parse(str(new_label(slug, NOW, bytes(16)))).slug == slug


def test_names_that_look_alike_do_not_share_a_slug() -> None:
    slugs = {slug_of("postgresql", "host", name) for name in ("a-b", "a_b", "A-B", "a b", "a--b")}

    assert len(slugs) == 5


@pytest.mark.parametrize(
    "data",
    [
        b'{"format":"covetbackup-manifest/1","format":"covetbackup-manifest/1"}',
        b"[" * 100_000,
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        b'{"format":NaN}',
        b"\xff\xfe{}",
        b'{"format":1.5}',
        b"null",
        b"",
    ],
    ids=["twice", "deep list", "deep object", "nan", "not utf-8", "fraction", "null", "empty"],
)
def test_a_hostile_manifest_is_refused(data: bytes, keyring: Keyring) -> None:
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    replace(repository, label.manifest, data)

    with pytest.raises(ManifestInvalid, match="manifest of shop"):
        repository.manifest(label)


def test_a_huge_manifest_is_refused_before_it_is_read_whole(keyring: Keyring) -> None:
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    replace(repository, label.manifest, b" " * (17 << 20))

    with pytest.raises(IntegrityError, match="larger than"):
        repository.manifest(label)


def test_a_copy_opens_with_the_same_keys(keyring: Keyring) -> None:
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, DATA, keyring, volume_size=20_000).manifest.label

    copy_backup(home, label, away, progress=Silent())

    result = verify_backup(
        away, label, VerifyLevel.CONTENT, keyring=keyring, check=lambda *_: None, progress=Silent()
    )
    assert result.ok
    assert names(away, label.folder) == names(home, label.folder)


def test_a_copy_that_is_there_already_is_a_conflict(keyring: Keyring) -> None:
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, DATA, keyring).manifest.label
    copy_backup(home, label, away, progress=Silent())

    with pytest.raises(Conflict, match="already"):
        copy_backup(home, label, away, progress=Silent())


class Unreadable(MemoryStorage):
    """A storage that cannot be read for a while."""

    is_down = False

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        if self.is_down:
            raise StorageUnavailable("no answer")
        return super().open(name, offset, length)


def test_copying_again_never_removes_what_is_there(keyring: Keyring) -> None:
    storage = Unreadable()
    home, away = make_repository(), make_repository("away", storage)
    label = make_backup(home, DATA, keyring).manifest.label
    copy_backup(home, label, away, progress=Silent())
    before = names(away)
    storage.is_down = True

    with pytest.raises(Conflict):
        copy_backup(home, label, away, progress=Silent())
    away.storage.delete(label.manifest)
    with pytest.raises(StorageUnavailable):
        copy_backup(home, label, away, progress=Silent())

    assert names(away) == [name for name in before if name != label.manifest]


def test_a_damaged_object_of_a_copy_that_was_cut_off_is_made_anew(keyring: Keyring) -> None:
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, DATA, keyring).manifest.label
    replace(away, label.folder + "dump.bin.zst.cvb", b"half")

    copy_backup(home, label, away, progress=Silent())

    assert not verify_backup(
        away, label, VerifyLevel.CHECKSUM, keyring=keyring, check=lambda *_: None, progress=Silent()
    ).findings


def test_a_damaged_backup_is_not_copied(keyring: Keyring) -> None:
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, DATA, keyring).manifest.label
    name = next(n for n in names(home, label.folder) if "dump.bin.zst" in n)
    bad = bytearray(read(home, name))
    bad[-1] ^= 1
    replace(home, name, bytes(bad))

    with pytest.raises(IntegrityError):
        copy_backup(home, label, away, progress=Silent())
    assert list(away.backups()) == []


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_a_copy_of_a_backup_with_a_lost_index_has_all_its_data_and_is_mended(
    keyring: Keyring, damage: str
) -> None:
    home, away = make_repository(), make_repository("away")
    label = make_backup(home, DATA, keyring).manifest.label
    good = {n: read(home, n) for n in names(home, label.folder)}
    index = next(n for n in good if "dump.bin.index" in n)
    home.storage.delete(index)
    if damage == "cut":
        replace(home, index, good[index][:-1])

    copy_backup(home, label, away, progress=Silent())
    assert restored(away, label, keyring) == DATA
    with pytest.raises((IntegrityError, ObjectNotFound)):
        mend_indexes(home, label, away, progress=Silent())

    home.storage.delete(index)
    replace(home, index, good[index])
    BackupManager(home).copy_backup(str(label), away)
    with pytest.raises(Conflict):
        BackupManager(home).copy_backup(str(label), away)
    assert {n: read(away, n) for n in names(away, label.folder)} == good


def test_a_copy_that_was_cut_off_is_finished_by_the_next_run(keyring: Keyring) -> None:
    home, away = make_repository(), make_repository("away", FullDisk("globals"))
    label = make_backup(home, DATA, keyring).manifest.label
    with pytest.raises(StorageFull):
        copy_backup(home, label, away, progress=Silent())
    assert list(away.backups()) == []
    assert isinstance(away.storage, FullDisk)
    away.storage.name = "no more"

    copy_backup(home, label, away, progress=Silent())

    assert [entry.label for entry in away.backups()] == [label]


def test_deleting_leaves_nothing_of_that_backup_and_all_of_the_others(keyring: Keyring) -> None:
    repository = make_repository()
    kept = make_backup(repository, DATA, keyring).manifest.label
    before = names(repository)
    gone = make_backup(repository, DATA, keyring).manifest.label

    delete_backup(repository, gone)

    assert names(repository) == before
    assert [entry.label for entry in repository.backups()] == [kept]
    with pytest.raises(ObjectNotFound):
        delete_backup(repository, gone)


class Undeletable(MemoryStorage):
    """A storage that fails to delete objects with `held` in their names."""

    held = ""

    def delete(self, name: str) -> None:
        if self.held and self.held in name:
            raise StorageUnavailable("no answer")
        super().delete(name)


@pytest.mark.parametrize("held", ["dump.bin.zst", "keys.0", "keys-mirror"])
@pytest.mark.parametrize("again", ["delete", "sweep"])
def test_a_deletion_that_was_cut_off_is_finished_by_deleting_or_sweeping(
    keyring: Keyring, held: str, again: str
) -> None:
    storage = Undeletable()
    repository = make_repository(storage=storage)
    empty = names(repository)
    label = make_backup(repository, DATA, keyring).manifest.label
    manager = BackupManager(repository)
    storage.held = held
    with pytest.raises(StorageUnavailable):
        manager.delete_backup("latest")
    storage.held = ""

    if again == "delete":
        assert manager.delete_backup(str(label)) == label
    else:
        assert cleanup_repository(repository, NOW + timedelta(days=40_000)).labels == (label,)

    assert [name for name in names(repository) if not name.startswith("keys/")] == empty
    with pytest.raises(BadSetting, match="no backup matches"):
        manager.delete_backup(str(label))


def test_a_sweep_takes_unfinished_backups_but_no_young_or_published_ones(keyring: Keyring) -> None:
    repository = make_repository()
    published = make_backup(repository, DATA, keyring).manifest.label
    died = make_backup(repository, DATA, keyring).manifest.label
    repository.storage.delete(died.manifest)
    written_at = repository.storage.stat(died.folder + "dump.bin.zst.cvb").modified_at

    assert cleanup_repository(repository, written_at - timedelta(hours=1)).labels == ()
    assert cleanup_repository(repository, written_at + timedelta(hours=1)).labels == (died,)

    assert [entry.label for entry in repository.backups()] == [published]
    assert names(repository, died.folder) == []
    assert names(repository, f"keys-mirror/{died.backup_id.hex()}") == []


def test_a_backup_that_died_is_discarded_however_young_and_others_stay(keyring: Keyring) -> None:
    repository = make_repository()
    published = make_backup(repository, DATA, keyring).manifest.label
    before = names(repository)
    died = make_backup(repository, DATA, keyring).manifest.label
    repository.storage.delete(died.manifest)
    repository.create(died, "half.bin").write(b"x")
    elsewhere = repository.create(published, "another.bin")

    discard_backup(repository, died)
    discard_backup(repository, died)

    assert names(repository) == before
    elsewhere.commit()


def test_a_backup_that_was_published_is_never_discarded(keyring: Keyring) -> None:
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    before = names(repository)

    with pytest.raises(Conflict):
        discard_backup(repository, label)
    assert names(repository) == before


def test_a_published_backup_that_lost_its_data_is_never_swept(keyring: Keyring) -> None:
    repository = make_repository()
    label = make_backup(repository, DATA, keyring).manifest.label
    repository.storage.delete(label.folder + "dump.bin.zst.cvb")

    cleanup_repository(repository, NOW + timedelta(days=40_000))

    assert [entry.label for entry in repository.backups()] == [label]
