"""A single slot: bound to its fields and its backup even before any MAC is looked at."""

from __future__ import annotations

import pytest

from covetbackup.core.crypto import canonical, slots
from covetbackup.core.crypto.kdf import Pbkdf2Cost
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.keys import RawKey, RecipientKey, WrappingKey, passphrase_key
from covetbackup.core.errors import ManifestInvalid, WrongPassphrase
from tests.unit.crypto.streams import BACKUP, DEK

RAW, PRIVATE = RawKey(b"\1" * 32), RecipientKey(b"\2" * 32)
PHRASE = passphrase_key("correct horse battery", cost=Pbkdf2Cost(), salt=bytes(16))
RING = Keyring.of([RAW, PRIVATE, PHRASE])

every_kind = pytest.mark.parametrize(
    "key", [RAW, PHRASE, PRIVATE.recipient], ids=["raw", "passphrase", "x25519"]
)


@every_kind
def test_a_slot_opens_for_its_own_backup_only(key: WrappingKey) -> None:
    slot = slots.wrap(DEK, BACKUP, key)
    assert slots.unwrap(slot, BACKUP, RING) == DEK
    with pytest.raises((ManifestInvalid, WrongPassphrase)):
        slots.unwrap(slot, bytes(16), RING)


@every_kind
def test_a_slot_with_fields_changed_added_or_left_out_does_not_open(key: WrappingKey) -> None:
    slot = slots.wrap(DEK, BACKUP, key)
    for name in set(slot) - {"kind", "key", "kdf"}:
        same_size = canonical.encode_bytes(
            bytes(len(canonical.decode_bytes(slot[name])) - 1) + b"x"
        )
        for value in (same_size, "AAAA", "", None, 7):
            with pytest.raises((ManifestInvalid, WrongPassphrase)):
                slots.unwrap({**slot, name: value}, BACKUP, RING)
    for name in set(slot) - {"kind", "key"}:
        with pytest.raises(ManifestInvalid):
            slots.unwrap({k: v for k, v in slot.items() if k != name}, BACKUP, RING)
    with pytest.raises(ManifestInvalid):
        slots.unwrap({**slot, "more": 1}, BACKUP, RING)


def test_a_passphrase_slot_under_another_id_does_not_open() -> None:
    slot = slots.wrap(DEK, BACKUP, PHRASE)
    with pytest.raises(WrongPassphrase):
        slots.unwrap({**slot, "key": "pass-1"}, BACKUP, RING)


def test_no_two_slots_are_alike() -> None:
    for key in (RAW, PHRASE, PRIVATE.recipient):
        one, two = (slots.wrap(DEK, BACKUP, key) for _ in range(2))
        assert one["sealed"] != two["sealed"]
