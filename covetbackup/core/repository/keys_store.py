"""Keys objects in a repository: stored twice, as their loss would lose everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from covetbackup.core.crypto import canonical, kdf, keyfile
from covetbackup.core.crypto.envelope import UnwrappedDek, unwrap_dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.keys import PassphraseKey, Recipient, WrappingKey
from covetbackup.core.errors import (
    IntegrityError,
    KeyUnavailable,
    ManifestInvalid,
    ObjectExists,
    ObjectNotFound,
    StorageError,
)
from covetbackup.core.repository import layout
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.objects import read_object, write_object
from covetbackup.core.storage.base import Storage

KEYS_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeysFound:
    """A DEK that was unwrapped, and what is wrong with the copies that did not open."""

    opened: UnwrappedDek
    problems: tuple[str, ...]


def write_keys(storage: Storage, label: Label, generation: int, data: bytes) -> None:
    """Store both copies of a keys object. A copy that is already there is left if equal.

    Raises `ObjectExists` if it is not. After any error what this call wrote is gone, as far as the
    storage lets it be deleted, and nothing else: the generation may be another process's, and the
    only one left.
    """
    written: list[str] = []
    try:
        for name in _names(label, generation):
            if _write_unless_equal(storage, name, data):
                written.append(name)
    except BaseException:
        for name in written:
            with suppress(StorageError):  # why it was to be undone matters more
                storage.delete(name)
        raise


def publish_key_records(storage: Storage, keyring: Keyring) -> None:
    """Store the public record of every key that new backups are wrapped for.

    It says which keys a person who finds the repository must look for. Records never hold a secret.
    """
    for key in keyring.wrapping:
        with suppress(ObjectExists):
            name = f"{layout.KEY_RECORDS}{key.key_id}.json"
            write_object(storage, name, canonical.dump(_public_record(key)))


def generations(storage: Storage, label: Label) -> list[int]:
    """Return the generations of the backup's keys objects, mirrors included, newest first."""
    found = set()
    for prefix in (label.folder, layout.MIRROR + label.backup_id.hex()):
        for info in storage.list(prefix):
            tail = info.name.rsplit("/", 1)[-1].replace(label.backup_id.hex(), "keys")
            generation = layout.keys_generation(tail)
            if generation is not None:
                found.add(generation)
    return sorted(found, reverse=True)


def open_keys(storage: Storage, label: Label, keyring: Keyring) -> KeysFound:
    """Open the newest keys object that opens: the copy beside the data, then its mirror.

    Raises `KeyUnavailable` (no key at hand fits) or the first `IntegrityError`.
    """
    problems: list[str] = []
    first: Exception | None = None
    for name, generation in _copies(storage, label):
        try:
            data = read_object(storage, name, limit=KEYS_LIMIT)
            opened = unwrap_dek(data, label.backup_id, keyring)
            if opened.generation != generation:
                raise ManifestInvalid(f"{name} holds generation {opened.generation}")
        except (IntegrityError, KeyUnavailable, ObjectNotFound) as error:
            problems.append(f"{name}: {error}")
            if first is None or isinstance(first, ObjectNotFound):
                first = error
            continue
        problems.extend(f"{name}: slot {key_id} is damaged" for key_id in opened.broken)
        return KeysFound(opened, tuple(problems))
    raise first or _missing_keys(label)


def newest_generation(storage: Storage, label: Label) -> int:
    """Return the newest generation. Raises `ManifestInvalid` if there is no keys object."""
    found = generations(storage, label)
    if not found:
        raise _missing_keys(label)
    return found[0]


def read_copies(storage: Storage, label: Label, generation: int) -> list[bytes]:
    """Return the copies of one generation that are there, the one beside the data first."""
    copies = []
    for name in _names(label, generation):
        with suppress(ObjectNotFound):
            copies.append(read_object(storage, name, limit=KEYS_LIMIT))
    return copies


def copy_problems(storage: Storage, label: Label) -> Iterator[str]:
    """Yield what is wrong with the two copies of the newest generation.

    As far as it shows without a key: either is enough to open the backup, so this is a warning in
    time.
    """
    for generation in generations(storage, label)[:1]:
        found = {info.name for place in _names(label, generation) for info in storage.list(place)}
        missing = [name for name in _names(label, generation) if name not in found]
        yield from (f"{name} is missing" for name in missing)
        if len({*read_copies(storage, label, generation)}) > 1:
            yield "{} and {} differ: one is damaged".format(*_names(label, generation))


def copy_keys(source: Storage, target: Storage, label: Label) -> None:
    """Copy every keys object unchanged: of two that differ a key alone tells the damaged one.

    One that is missing is made of the other. Raises `ManifestInvalid` if there is none,
    `ObjectExists` if the target has others.
    """
    newest_generation(source, label)
    for generation in generations(source, label):
        copies = read_copies(source, label, generation)
        for name, data in zip(_names(label, generation), copies[:1] + copies[-1:], strict=False):
            _write_unless_equal(target, name, data)


def remove_generation(storage: Storage, label: Label, generation: int) -> None:
    """Delete both copies of one generation."""
    for name in _names(label, generation):
        storage.delete(name)


def _public_record(key: WrappingKey) -> dict[str, Any]:
    record: dict[str, Any] = {"format": "covetbackup-key/1", "id": key.key_id}
    if isinstance(key, Recipient):
        return {**record, "kind": "x25519", "public": keyfile.encode(key)}
    if isinstance(key, PassphraseKey):
        params = key.params
        salt = canonical.encode_bytes(params.salt)
        cost = kdf.cost_to_json(params.cost)
        return {**record, "kind": "passphrase", "kdf": cost, "kdf_salt": salt}
    return {**record, "kind": "raw"}


def _write_unless_equal(storage: Storage, name: str, data: bytes) -> bool:
    """False if `name` was there and is equal."""
    try:
        write_object(storage, name, data)
    except ObjectExists:
        if read_object(storage, name, limit=KEYS_LIMIT) != data:
            raise
        return False
    return True


def _copies(storage: Storage, label: Label) -> Iterator[tuple[str, int]]:
    for generation in generations(storage, label):
        for name in _names(label, generation):
            yield name, generation


def _missing_keys(label: Label) -> ManifestInvalid:
    return ManifestInvalid(
        f"backup {label} has no keys object",
        f"does another copy of the repository have it, there or under {layout.MIRROR}?",
    )


def _names(label: Label, generation: int) -> tuple[str, str]:
    """Beside the data, and its mirror."""
    beside = label.folder + layout.keys_name(generation)
    return beside, layout.mirror_name(label.backup_id, generation)
