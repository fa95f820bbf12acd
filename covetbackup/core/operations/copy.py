"""Copy a backup to another repository, byte for byte: the same keys open both."""

from __future__ import annotations

from covetbackup.core.errors import CovetError, ObjectExists
from covetbackup.core.progress import Progress
from covetbackup.core.repository.keys_store import copy_keys
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest, StoredObject
from covetbackup.core.repository.repository import Repository
from covetbackup.core.stream.base import Filter
from covetbackup.core.stream.meter import Expect, Meter
from covetbackup.core.stream.pump import drain, pump


def copy_backup(
    source: Repository, label: Label, target: Repository, *, progress: Progress
) -> Manifest:
    """Copy `label` from `source` to `target`; needs no key. Its manifest is written last.

    Every byte is compared with the manifest's digests on the way. A copy that was cut off is
    finished by running it again: equal objects are kept. Raises `IntegrityError` if the source
    is damaged, `Conflict` if the target has the backup already, `StorageError`.
    """
    data = source.manifest_bytes(label)
    manifest = source.manifest(label)
    for stored in manifest.objects:
        progress.phase(f"copying {stored.name}", stored.size)
        _copy_object(source, label, target, stored, progress)
    progress.phase("publishing")
    if manifest.suite is not None:
        copy_keys(source.storage, target.storage, label)
    target.commit(label, data)
    return manifest


def _copy_object(
    source: Repository, label: Label, target: Repository, stored: StoredObject, progress: Progress
) -> None:
    filters: list[Filter] = [
        Meter(progress),
        Expect(stored.size, stored.sha256, stored.name),
    ]
    try:
        pump(source.open_object(label, stored.name), filters, target.create(label, stored.name))
    except ObjectExists:
        if not _is_whole(target, label, stored):
            target.storage.delete(label.folder + stored.name)
            raise


def _is_whole(target: Repository, label: Label, stored: StoredObject) -> bool:
    try:
        drain(
            target.open_object(label, stored.name),
            [Expect(stored.size, stored.sha256, stored.name)],
        )
    except CovetError:
        return False
    return True
