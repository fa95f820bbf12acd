"""The keys object of a backup: its DEK, wrapped once for each key that shall open it.

A small JSON object beside the data. Rotation writes the next generation of this object only;
data and manifest stay as they are. What it looks like: FORMAT.md, "Keys".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from covetbackup.core.crypto import canonical, slots
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.keys import PASSPHRASE_MINIMUM, PassphraseKey
from covetbackup.core.crypto.subkeys import Purpose, check_mac, mac
from covetbackup.core.errors import (
    BadSetting,
    CovetError,
    KeyUnavailable,
    ManifestInvalid,
    NotAnArchive,
    UnknownRecipient,
    WrongPassphrase,
)

FORMAT = "covetbackup keys 1"
SLOT_LIMIT = 16
GENERATION_LIMIT = 999_999
_SIZE_LIMIT = 64 << 10
_MIRROR = "is its copy under keys-mirror/ intact?"
_FIELDS = {"format", "backup", "generation", "slots", "digests", "mac"}


@dataclass(frozen=True, slots=True)
class UnwrappedDek:
    """A DEK and how it was unwrapped: `key_id` is that of the key which opened it.

    `symmetric`: a secret of our own opened it, so its writer holds that secret; a recipient slot
    proves nothing of the kind. `broken`: ids (or "slot 2") of slots that changed since they were
    written: wrap anew soon.
    """

    dek: Dek
    generation: int
    key_id: str
    symmetric: bool
    broken: tuple[str, ...]


def wrap_dek(
    dek: Dek, backup_id: bytes, keyring: Keyring, *, generation: int, min_slots: int = 2
) -> bytes:
    """Return a keys object with a slot for each wrapping key of `keyring`.

    Raises `BadSetting` for fewer than `min_slots` keys (at least one, always), for more than 16,
    and for a passphrase below 14 characters.
    """
    check_wrapping(keyring, min_slots=min_slots)
    if not 1 <= generation <= GENERATION_LIMIT:
        raise BadSetting(f"keys generation {generation} is out of bounds")
    wrapped = [slots.wrap(dek, backup_id, key) for key in keyring.wrapping]
    head = _head(backup_id, generation, [slots.digest(slot) for slot in wrapped])
    tag = mac(dek, backup_id, Purpose.KEYS, canonical.dump(head))
    return canonical.dump({**head, "slots": wrapped, "mac": canonical.encode_bytes(tag)})


def unwrap_dek(data: bytes, backup_id: bytes, keyring: Keyring) -> UnwrappedDek:
    """Return the DEK of backup `backup_id` from its keys object.

    A damaged slot does not matter while another opens; it is reported in `broken`. Raises
    `ManifestInvalid` if the object is malformed, of another backup, or was edited (a slot added,
    removed, moved; the generation changed); `NotAnArchive` if it needs a newer reader; and when
    nothing opens it: `WrongPassphrase`, `UnknownRecipient`, or `KeyUnavailable` if only the public
    half of its key is here, each naming the key ids that would open it.
    """
    keys = _parse(data, backup_id)
    intact, broken = _partition_slots(keys)
    dek, slot = _unwrap_first(keys, intact, broken, keyring)
    if not check_mac(dek, backup_id, Purpose.KEYS, canonical.dump(keys.head), tag=keys.tag):
        raise ManifestInvalid(f"{keys.name} were edited", _MIRROR)
    return UnwrappedDek(
        dek=dek,
        generation=keys.head["generation"],
        key_id=slot["key"],
        symmetric=slot["kind"] in slots.SYMMETRIC,
        broken=tuple(broken),
    )


def check_wrapping(keyring: Keyring, *, min_slots: int) -> None:
    """Check the wrapping keys of `keyring`: raise the `BadSetting` that `wrap_dek` would."""
    keys, min_slots = keyring.wrapping, max(min_slots, 1)
    if len(keys) < min_slots:
        have = ", ".join(key.key_id for key in keys) or "none"
        raise BadSetting(
            f"a backup needs {min_slots} independent keys, the keyring has {len(keys)} ({have})",
            "add the public half of a recovery key (keygen makes one), or lower the limit with"
            f" --min-keys {max(len(keys), 1)}: lose the only key and the backup is lost",
        )
    if len(keys) > SLOT_LIMIT:
        raise BadSetting(f"a backup has at most {SLOT_LIMIT} keys, the keyring has {len(keys)}")
    if not all(key.is_long_enough for key in keys if isinstance(key, PassphraseKey)):
        raise BadSetting(
            f"a passphrase for new backups needs at least {PASSPHRASE_MINIMUM} characters",
            "use six or more random words",
        )


@dataclass(frozen=True, slots=True)
class _KeysObject:
    """A keys object of the right shape; nothing in it is authentic before its MAC was checked.

    The MAC covers `head`, in which a digest stands for each slot: so a damaged slot is told from
    an edited object, and does not keep the others from being used.
    """

    name: str
    backup_id: bytes
    head: dict[str, Any]
    slots: list[Any]
    tag: bytes


def _parse(data: bytes, backup_id: bytes) -> _KeysObject:
    name = f"keys of backup {backup_id.hex()}"
    value = canonical.parse(data, limit=_SIZE_LIMIT, name=name)
    if value.get("format") != FORMAT:
        raise NotAnArchive(f"{name} have an unknown format", "do they need a newer CovetBackup?")
    if value.get("backup") != backup_id.hex():
        raise ManifestInvalid(f"{name} belong to another backup", _MIRROR)
    problem = _problem(value)
    if problem:
        raise ManifestInvalid(f"{name} are malformed: {problem}", _MIRROR)
    tag = canonical.decode_bytes(value["mac"], length=32, name=f"{name}: mac")
    head = _head(backup_id, value["generation"], value["digests"])
    return _KeysObject(name, backup_id, head, value["slots"], tag)


def _problem(value: dict[str, Any]) -> str:
    if set(value) != _FIELDS:
        return "unknown or missing fields"
    if type(value["generation"]) is not int or not 1 <= value["generation"] <= GENERATION_LIMIT:
        return "generation is out of bounds"
    wrapped, digests = value["slots"], value["digests"]
    if not isinstance(wrapped, list) or not isinstance(digests, list):
        return "slots are not a list"
    if len(wrapped) != len(digests) or not 1 <= len(wrapped) <= SLOT_LIMIT:
        return "the number of slots is wrong"
    return ""


def _partition_slots(keys: _KeysObject) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the slots as they were written, and the names of those that changed since.

    First what only an owner of a secret can have written (`UnwrappedDek.symmetric`); passphrases
    after raw keys, for their cost.
    """
    intact: list[dict[str, Any]] = []
    broken: list[str] = []
    for number, slot in enumerate(keys.slots, start=1):
        if not slots.is_slot(slot):
            broken.append(f"slot {number}")
        elif slots.digest(slot) != keys.head["digests"][number - 1]:
            broken.append(slot["key"])
        else:
            intact.append(slot)
    return sorted(intact, key=slots.preference), broken


def _unwrap_first(
    keys: _KeysObject, intact: list[dict[str, Any]], broken: list[str], keyring: Keyring
) -> tuple[Dek, dict[str, Any]]:
    failures: list[ManifestInvalid | WrongPassphrase] = []
    for slot in intact:
        try:
            dek = slots.unwrap(slot, keys.backup_id, keyring)
        except (ManifestInvalid, WrongPassphrase) as error:
            failures.append(type(error)(f"{keys.name}, slot {slot['key']}: {error.message}"))
            continue
        if dek is not None:
            return dek, slot
    raise _explain_failure(keys.name, [slot["key"] for slot in intact], broken, keyring, failures)


def _explain_failure(
    name: str,
    wanted: list[str],
    broken: list[str],
    keyring: Keyring,
    failures: list[ManifestInvalid | WrongPassphrase],
) -> CovetError:
    """Return the most useful error when nothing opened, always with the ids that would."""
    hint = f"it opens with {' or '.join(wanted)}"
    if broken:  # perhaps ours, for a damaged slot cannot be trusted to say whose it is
        others = f"; {hint}" if wanted else ""
        return ManifestInvalid(f"{name}: damaged: {', '.join(broken)}", f"{_MIRROR}{others}")
    if failures:
        return type(failures[0])(failures[0].message, hint)
    public = [key.key_id for key in keyring.recipients if key.key_id in wanted]
    if public:
        return KeyUnavailable(
            f"{name}: only the public half of {public[0]} is here",
            f"its private key (covet-x25519-sec-…) is needed; {hint}",
        )
    return UnknownRecipient(f"{name}: no key at hand opens it", hint)


def _head(backup_id: bytes, generation: int, digests: list[Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "backup": backup_id.hex(),
        "generation": generation,
        "digests": digests,
    }
