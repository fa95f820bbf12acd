"""Copies of a backup to another repository, byte for byte: the same keys open both."""

from __future__ import annotations

from collections.abc import Callable

from covetbackup.core.errors import IntegrityError, ObjectExists, ObjectNotFound
from covetbackup.core.operations.lost_index import LostIndexes
from covetbackup.core.progress import Progress
from covetbackup.core.repository import manifest_json
from covetbackup.core.repository.keys_store import copy_keys
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import BackupObject, Manifest
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.stream.meter import VerifyDigest, count_progress
from covetbackup.core.stream.pump import drain, pump


def copy_backup(
    source: BackupRepository,
    label: Label,
    target: BackupRepository,
    *,
    progress: Progress,
    before_publish: Callable[[], None] = lambda: None,
) -> Manifest:
    """Copy `label` from `source` to `target`; needs no key. Its manifest is written last.

    Every byte is compared with the manifest's digests on the way. A copy that was cut off is
    finished by running it again: whole objects are retained, others made anew. Raises
    `IntegrityError` if the source is damaged, `Conflict` if the target has the backup already
    (nothing of it is touched), `StorageError`. A frame index that the source has lost is left out.
    `before_publish` is called right before the copy comes to exist and may raise to prevent it.
    """
    data = source.manifest_bytes(label)
    manifest = manifest_json.decode(data, label)
    target.refuse_published(label)
    indexes = manifest.index_names
    for stored in manifest.objects:
        progress.phase(f"copying {stored.name}", stored.size)
        try:
            _copy_object(source, label, target, stored, progress)
        except (IntegrityError, ObjectNotFound) as error:
            if stored.name not in indexes:
                raise
            LostIndexes().add(progress, stored.name, error)
    progress.phase("publishing")
    before_publish()
    if manifest.suite is not None:
        copy_keys(source.storage, target.storage, label)
    target.commit(label, data)
    return manifest


def mend_indexes(
    source: BackupRepository, label: Label, target: BackupRepository, *, progress: Progress
) -> list[str]:
    """Copy the frame indexes that `target` lost of `label` from `source`; return their names.

    Does not look at the data of `target`. Raises `IntegrityError` or `ObjectNotFound` if the source
    has lost one too, `StorageError`.
    """
    manifest = manifest_json.decode(source.manifest_bytes(label), label)
    indexes, mended = manifest.index_names, []
    for stored in manifest.objects:
        if stored.name in indexes and not _is_whole(target, label, stored):
            progress.phase(f"copying {stored.name}", stored.size)
            target.storage.delete(label.folder + stored.name)
            _send_object(source, label, target, stored, progress)
            mended.append(stored.name)
    return mended


def _copy_object(
    source: BackupRepository,
    label: Label,
    target: BackupRepository,
    stored: BackupObject,
    progress: Progress,
) -> None:
    try:
        _send_object(source, label, target, stored, progress)
    except ObjectExists:
        if not _is_whole(target, label, stored):
            target.storage.delete(label.folder + stored.name)
            _send_object(source, label, target, stored, progress)


def _send_object(
    source: BackupRepository,
    label: Label,
    target: BackupRepository,
    stored: BackupObject,
    progress: Progress,
) -> None:
    expect = VerifyDigest(stored.size, stored.sha256, stored.name)
    sink = target.create(label, stored.name)
    pump(source.open_object(label, stored.name), [count_progress(progress), expect], sink)


def _is_whole(target: BackupRepository, label: Label, stored: BackupObject) -> bool:
    try:
        drain(
            target.open_object(label, stored.name),
            [VerifyDigest(stored.size, stored.sha256, stored.name)],
        )
    except (IntegrityError, ObjectNotFound):
        return False
    return True
