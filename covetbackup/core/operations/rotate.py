"""Rotation of keys: wraps the DEKs of backups for new keys. Data and manifests stay.

Resumable: at every moment at least one keys object of a backup opens, and a run that was cut off is
finished by running it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from covetbackup.core.crypto import canonical
from covetbackup.core.crypto.envelope import check_wrapping, unwrap_dek, wrap_dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.errors import (
    CovetError,
    IntegrityError,
    KeyUnavailable,
    StorageError,
    Tampered,
)
from covetbackup.core.progress import Progress
from covetbackup.core.repository.keys_store import (
    generations,
    newest_generation,
    open_keys,
    publish_key_records,
    read_copies,
    remove_generation,
    write_keys,
)
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.base import Storage


class Rotation(StrEnum):
    """The state of a backup after a rotation."""

    CURRENT = "current"
    """Wrapped for exactly the new keys already."""
    ROTATED = "rotated"
    PLAIN = "plain"
    """Not encrypted: nothing to rotate."""
    OLD_KEYS_REMAIN = "old keys remain"
    """Opens with the new keys, and with the old ones too: their object could not be deleted."""
    FAILED = "failed"
    """Opens with the keys it had before."""


@dataclass(frozen=True, slots=True)
class RotationResult:
    """The result of a rotation for one backup; `error` says why it is not whole."""

    label: Label
    state: Rotation
    error: CovetError | None = None


def rotate_keys(
    repository: BackupRepository,
    *,
    old: Keyring,
    new: Keyring,
    min_slots: int = 2,
    progress: Progress,
) -> Iterator[RotationResult]:
    """Wrap every backup of `repository`, opened with `old`, for the keys of `new`.

    Yields one result for each backup; a failure of one does not stop the others. Raises
    `BadSetting` at once if `new` has fewer than `min_slots` keys, and `StorageError`.
    """
    check_wrapping(new, min_slots=min_slots)
    publish_key_records(repository.storage, new)
    return _rotate_all(repository, old, new, min_slots, progress)


def _rotate_all(
    repository: BackupRepository, old: Keyring, new: Keyring, min_slots: int, progress: Progress
) -> Iterator[RotationResult]:
    for label in list(repository.labels()):
        progress.phase(f"rotating {label}")
        progress.advance(0)
        try:
            yield _rotate(repository, label, old, new, min_slots)
        except CovetError as error:
            yield RotationResult(label, Rotation.FAILED, error)


def _rotate(
    repository: BackupRepository, label: Label, old: Keyring, new: Keyring, min_slots: int
) -> RotationResult:
    if repository.manifest(label).suite is None:
        return RotationResult(label, Rotation.PLAIN)
    storage = repository.storage
    newest = newest_generation(storage, label)
    copies = read_copies(storage, label, newest)
    if _is_current(storage, label, copies, new):
        write_keys(storage, label, newest, copies[0])
        return _finished(storage, label, newest, Rotation.CURRENT)
    dek = open_keys(storage, label, old).opened.dek
    data = wrap_dek(dek, label.backup_id, new, generation=newest + 1, min_slots=min_slots)
    write_keys(storage, label, newest + 1, data)
    try:
        _prove(storage, label, newest + 1, data, new)
    except BaseException:
        with suppress(StorageError):  # why it was to be undone matters more
            remove_generation(storage, label, newest + 1)
        raise
    return _finished(storage, label, newest + 1, Rotation.ROTATED)


def _finished(storage: Storage, label: Label, newest: int, state: Rotation) -> RotationResult:
    """The result once the keys object `newest` is proven: whether the older ones are gone."""
    try:
        _remove_older(storage, label, newest)
    except StorageError as error:
        remains = type(error)(
            f"the new keys open it, and the old ones still do: {error.message}",
            f"{error.hint}; then rotate again, which only deletes the old keys objects".lstrip(
                "; "
            ),
            error.details,
        )
        return RotationResult(label, Rotation.OLD_KEYS_REMAIN, remains)
    return RotationResult(label, state)


def _is_current(storage: Storage, label: Label, copies: list[bytes], new: Keyring) -> bool:
    """Whether `copies` of the newest keys object are what rotating to `new` would give.

    Damaged ones are not: they are made anew. Nor are those that cannot be opened here while
    older generations are left (a run was cut off).
    """
    try:
        if len({*copies}) != 1 or _key_ids(copies[0]) != {key.key_id for key in new.wrapping}:
            return False
        if not new.can_read:
            return len(generations(storage, label)) == 1
        return not unwrap_dek(copies[0], label.backup_id, new).broken
    except (IntegrityError, KeyUnavailable):
        return False


def _prove(storage: Storage, label: Label, generation: int, data: bytes, new: Keyring) -> None:
    """Both new copies must come back as they were written, and open with a secret that is here."""
    if read_copies(storage, label, generation) != [data, data]:
        raise Tampered(f"the storage gave back other keys for {label} than were written")
    if new.can_read:
        unwrap_dek(data, label.backup_id, new)


def _key_ids(keys: bytes) -> set[str]:
    slots = canonical.parse(keys).get("slots", [])
    return {str(slot.get("key")) for slot in slots if isinstance(slot, dict)}


def _remove_older(storage: Storage, label: Label, newest: int) -> None:
    for generation in generations(storage, label):
        if generation < newest:
            remove_generation(storage, label, generation)
