"""Rotate keys: rewrap the DEKs of backups for new keys. Data and manifests are not touched.

Resumable: at every moment at least one keys object of a backup opens, and a run that was cut
off is finished by running it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from covetbackup.core.crypto import canonical
from covetbackup.core.crypto.envelope import unwrap_dek, wrap_dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import CovetError, Tampered
from covetbackup.core.progress import Progress
from covetbackup.core.repository.keys_store import (
    generations,
    newest_keys,
    open_keys,
    publish_key_records,
    remove_generation,
    write_keys,
)
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.repository import Repository
from covetbackup.core.storage.base import Storage


class Rotation(StrEnum):
    CURRENT = "current"
    """Wrapped for exactly the new keys already."""
    ROTATED = "rotated"
    PLAIN = "plain"
    """Not encrypted: nothing to rotate."""
    FAILED = "failed"
    """Opens with the keys it had before."""


@dataclass(frozen=True, slots=True)
class Rotated:
    label: Label
    state: Rotation
    error: CovetError | None = None


def rotate_keys(
    repository: Repository,
    *,
    old: Keyring,
    new: Keyring,
    min_slots: int = 2,
    progress: Progress,
) -> Iterator[Rotated]:
    """Rewrap every backup of `repository`, opened with `old`, for the keys of `new`.

    Yields one result for each backup; a failure of one does not stop the others. Raises
    `BadSetting` at once if `new` has fewer than `min_slots` keys, and `StorageError`.
    """
    publish_key_records(repository.storage, new)
    for label in list(repository.labels()):
        progress.phase(f"rotating {label}")
        progress.advance(0)
        try:
            yield Rotated(label, _rotate(repository, label, old, new, min_slots))
        except CovetError as error:
            yield Rotated(label, Rotation.FAILED, error)


def _rotate(
    repository: Repository, label: Label, old: Keyring, new: Keyring, min_slots: int
) -> Rotation:
    if repository.manifest(label).suite is None:
        return Rotation.PLAIN
    storage = repository.storage
    newest, keys = newest_keys(storage, label)
    if _is_current(storage, label, keys, new):
        write_keys(storage, label, newest, keys)
        _remove_older(storage, label, newest)
        return Rotation.CURRENT
    dek = open_keys(storage, label, old).opened.dek
    data = wrap_dek(dek, label.backup_id, new, generation=newest + 1, min_slots=min_slots)
    try:
        write_keys(storage, label, newest + 1, data)
        _prove(storage, label, data, new)
    except BaseException:
        remove_generation(storage, label, newest + 1)
        raise
    _remove_older(storage, label, newest + 1)
    return Rotation.ROTATED


def _is_current(storage: Storage, label: Label, keys: bytes, new: Keyring) -> bool:
    """Whether `keys` is what rotating to `new` would give. While older generations are left (a
    run was cut off) it must be proven to open; if that cannot be done here, it is made anew."""
    if _key_ids(keys) != {key.key_id for key in new.wrapping}:
        return False
    if len(generations(storage, label)) == 1:
        return True
    if not new.can_read:
        return False
    unwrap_dek(keys, label.backup_id, new)
    return True


def _prove(storage: Storage, label: Label, data: bytes, new: Keyring) -> None:
    """The new object must come back as it was written, and open with a secret that is here."""
    _, stored = newest_keys(storage, label)
    if stored != data:
        raise Tampered(f"the storage gave back other keys for {label} than were written")
    if new.can_read:
        unwrap_dek(stored, label.backup_id, new)


def _key_ids(keys: bytes) -> set[str]:
    slots = canonical.parse(keys).get("slots", [])
    return {str(slot.get("key")) for slot in slots if isinstance(slot, dict)}


def _remove_older(storage: Storage, label: Label, newest: int) -> None:
    for generation in generations(storage, label):
        if generation < newest:
            remove_generation(storage, label, generation)
