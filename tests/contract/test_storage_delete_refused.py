"""Credentials that may write and read but not delete: what every deletion says then."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from covetbackup.core.cli.main import main
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import AccessRefused, DeleteRefused, StorageError, StorageFull
from covetbackup.core.operations.delete import cleanup_repository, delete_backup, discard_backup
from covetbackup.core.operations.rotate import Rotation, RotationResult, rotate_keys
from covetbackup.core.progress import Silent
from covetbackup.core.repository import layout
from covetbackup.core.repository.marker import initialise
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.local import LocalStorage
from covetbackup.core.storage.resilient import ResilientStorage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.storage.s3 import S3Storage
from covetbackup.core.storage.s3_settings import S3Credentials, S3Settings
from tests.support.doubles import NOW, make_backup, make_keys, make_repository
from tests.support.s3 import S3Endpoint
from tests.support.s3_faults import Proxy, error, faulty

DATA = {"dump": b"x" * 100}
FOREVER = NOW + timedelta(days=40_000)


@pytest.fixture
def proxy(moto_s3: S3Endpoint) -> Iterator[Proxy]:
    with faulty(moto_s3.url) as proxy:
        yield proxy


@pytest.fixture
def repository(moto_s3: S3Endpoint, proxy: Proxy) -> BackupRepository:
    keys = S3Credentials(moto_s3.access_key, moto_s3.secret_key)
    settings = S3Settings(moto_s3.bucket, endpoint_url=proxy.url, credentials=keys)
    retry = Retry(attempts=2, base_seconds=0)
    return make_repository("bucket", ResilientStorage(S3Storage(settings, retry), retry))


def refuse_deleting(proxy: Proxy, containing: str = "/") -> None:
    proxy.spoil("DELETE", containing, error(403, "AccessDenied"), times=1000)


def opens(repository: BackupRepository, keyring: Keyring) -> bool:
    (label,) = repository.labels()
    try:
        open_backup(repository, label, keyring)
    except Exception:  # noqa: BLE001  whatever it is: these keys do not open it
        return False
    return True


def rotated(repository: BackupRepository, old: Keyring, new: Keyring) -> RotationResult:
    (result,) = rotate_keys(repository, old=old, new=new, progress=Silent())
    return result


def test_a_rotation_that_may_not_delete_says_that_the_old_keys_still_open(
    repository: BackupRepository, proxy: Proxy
) -> None:
    (_, old), (_, new) = make_keys(), make_keys()
    make_backup(repository, DATA, old)
    refuse_deleting(proxy)

    for _ in range(2):
        result = rotated(repository, old, new)
        assert result.state is Rotation.OLD_KEYS_REMAIN
        assert isinstance(result.error, DeleteRefused)
        assert "the new keys open it, and the old ones still do" in str(result.error)
        assert "does not let these credentials delete" in str(result.error)
        assert "s3:DeleteObject" in result.error.hint
        assert "rotate again" in result.error.hint
    assert opens(repository, old)
    assert opens(repository, new)

    proxy.forgive()
    assert rotated(repository, new, new).state is Rotation.CURRENT
    assert not opens(repository, old)


def test_a_deletion_that_is_refused_says_what_is_still_there(
    repository: BackupRepository, proxy: Proxy
) -> None:
    label = make_backup(repository, DATA, make_keys()[1]).manifest.label
    refuse_deleting(proxy)
    with pytest.raises(DeleteRefused, match="nothing of backup .* was removed") as caught:
        delete_backup(repository, label)
    assert "s3:DeleteObject" in caught.value.hint
    assert list(repository.labels()) == [label]

    proxy.forgive()
    refuse_deleting(proxy, "keys")
    with pytest.raises(DeleteRefused, match=r"no longer listed, but objects of it are left \(2\)"):
        delete_backup(repository, label)
    proxy.forgive()
    delete_backup(repository, label)


def test_a_sweep_that_may_not_delete_names_all_it_leaves_and_goes_on(
    repository: BackupRepository, proxy: Proxy
) -> None:
    labels = [make_backup(repository, DATA, make_keys()[1]).manifest.label for _ in range(2)]
    for label in labels:
        repository.storage.delete(label.manifest)
    repository.create(labels[0], "half.bin").write(b"x" * (9 << 20))
    held = labels[0].backup_id.hex()
    refuse_deleting(proxy, held)

    swept = cleanup_repository(repository, FOREVER)

    assert swept.labels == (labels[1],)
    assert set(swept.failures) == {str(labels[0]), "unfinished uploads"}
    assert "s3:AbortMultipartUpload" in swept.failures["unfinished uploads"].hint
    with pytest.raises(DeleteRefused):
        discard_backup(repository, labels[0])
    proxy.forgive()
    assert cleanup_repository(repository, FOREVER).failures == {}


def test_a_failed_init_that_may_not_delete_says_what_it_leaves(
    moto_s3: S3Endpoint, proxy: Proxy
) -> None:
    keys = S3Credentials(moto_s3.access_key, moto_s3.secret_key)
    storage = S3Storage(S3Settings(moto_s3.bucket, endpoint_url=proxy.url, credentials=keys))
    proxy.spoil("PUT", "RECOVERY", error(403, "AccessDenied"), times=1000)
    refuse_deleting(proxy)
    with pytest.raises(StorageError, match="RECOVERY.md") as caught:
        initialise(storage, NOW)
    assert "s3:PutObject" in caught.value.hint
    assert "delete covet.json there before the next try" in caught.value.hint


def test_a_listing_that_is_refused_names_the_permission(
    repository: BackupRepository, proxy: Proxy
) -> None:
    proxy.spoil("GET", "list-type=2", error(403, "AccessDenied"), times=10)
    with pytest.raises(AccessRefused, match="the listing") as caught:
        list(repository.labels())
    assert "s3:ListBucket" in caught.value.hint


def test_a_folder_that_may_not_be_written_refuses_deletions_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = make_repository("folder", LocalStorage(tmp_path))
    label = make_backup(repository, DATA, make_keys()[1]).manifest.label
    repository.storage.create(label.folder + "half").write(b"x")

    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "unlink", unlink)  # tests may run as root, whom no mode stops
    with pytest.raises(DeleteRefused, match="nothing of backup") as caught:
        delete_backup(repository, label)
    assert "permission denied" in str(caught.value)
    assert "write permission for the folder" in caught.value.hint
    assert main(["cleanup", f"file://{tmp_path}", "--older-than", "1e-9", "--quiet"]) == 5
    assert "not removed: unfinished uploads" in capsys.readouterr().out


def test_why_keys_were_not_stored_is_said_though_they_cannot_be_undone(
    repository: BackupRepository, proxy: Proxy
) -> None:
    (_, old), (_, new) = make_keys(), make_keys()
    make_backup(repository, DATA, old)
    refuse_deleting(proxy)
    proxy.spoil("PUT", layout.MIRROR, error(507, "XMinioStorageFull"), times=1000)
    result = rotated(repository, old, new)
    assert result.state is Rotation.FAILED
    assert isinstance(result.error, StorageFull)
    assert opens(repository, old)
