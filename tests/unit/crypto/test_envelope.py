"""The keys object: opened by each of its keys, refused when edited, clear about what is missing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from covetbackup.core.crypto import canonical
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.envelope import unwrap_dek, wrap_dek
from covetbackup.core.crypto.kdf import Pbkdf2Cost
from covetbackup.core.crypto.keyring import Keyring, new_keys
from covetbackup.core.crypto.keys import RawKey, RecipientKey, passphrase_key
from covetbackup.core.crypto.slots import digest
from covetbackup.core.crypto.subkeys import Purpose, mac
from covetbackup.core.errors import (
    BadSetting,
    CovetError,
    KeyUnavailable,
    ManifestInvalid,
    NotAnArchive,
    UnknownRecipient,
    WrongPassphrase,
)
from tests.unit.crypto.streams import BACKUP, DEK, flipped

WORDS = "correct horse battery"
NEW = new_keys()
WORKING, RECOVERY = Keyring.of(NEW.working), Keyring.of(NEW.recovery)
PHRASE = Keyring.of([passphrase_key(WORDS, cost=Pbkdf2Cost(), salt=bytes(16))])
WRONG_PHRASE = Keyring.of([passphrase_key("correct horse batterz", cost=Pbkdf2Cost())])
RAW = replace(WORKING, recipients=())
ALL = replace(WORKING, passphrases=PHRASE.passphrases)
KEYS = wrap_dek(DEK, BACKUP, ALL, generation=3)
RAW_ID, PHRASE_ID, RECOVERY_ID = (key.key_id for key in ALL.wrapping)


def edited(**changes: Any) -> bytes:
    return canonical.dump({**canonical.parse(KEYS), **changes})


def with_slot(number: int, **changes: Any) -> bytes:
    wrapped = canonical.parse(KEYS)["slots"]
    wrapped[number].update(changes)
    return edited(slots=wrapped)


@pytest.mark.parametrize(
    ("keyring", "symmetric"),
    [(RAW, True), (PHRASE, True), (RECOVERY, False)],
    ids=["raw", "passphrase", "x25519"],
)
def test_each_kind_of_key_opens_it(keyring: Keyring, symmetric: bool) -> None:
    opened = unwrap_dek(KEYS, BACKUP, keyring)
    assert (opened.dek, opened.generation) == (DEK, 3)
    assert (opened.symmetric, opened.broken) == (symmetric, ())


def test_a_secret_of_our_own_is_preferred() -> None:
    ring = replace(PHRASE, recipient_keys=RECOVERY.recipient_keys)
    assert unwrap_dek(KEYS, BACKUP, ring).symmetric


def test_nothing_of_the_keys_is_in_it() -> None:
    for secret in (DEK.secret, RAW.raw[0].secret, WORDS.encode()):
        for spelling in (secret, canonical.encode_bytes(secret).encode(), secret.hex().encode()):
            assert spelling not in KEYS


def test_every_single_bit_error_is_refused_or_reported() -> None:
    for bit in range(len(KEYS) * 8):
        try:
            opened = unwrap_dek(flipped(KEYS, bit), BACKUP, RAW)
        except (ManifestInvalid, NotAnArchive):
            continue
        assert opened.dek == DEK and len(opened.broken) == 1, bit


def test_a_cut_or_grown_object_is_refused() -> None:
    for data in [*(KEYS[:size] for size in range(len(KEYS))), KEYS + b"x", KEYS + KEYS]:
        with pytest.raises(ManifestInvalid):
            unwrap_dek(data, BACKUP, RAW)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_another_slot_opens_it_when_one_is_damaged_and_the_bad_one_is_named(number: int) -> None:
    data = with_slot(number, sealed=canonical.encode_bytes(bytes(48)))
    ring = [RECOVERY, RAW, RAW][number]
    opened = unwrap_dek(data, BACKUP, ring)
    assert opened.dek == DEK
    assert opened.broken == ([RAW_ID, PHRASE_ID, RECOVERY_ID][number],)
    own = [RAW, PHRASE, RECOVERY][number]
    with pytest.raises(ManifestInvalid, match="damaged") as caught:
        unwrap_dek(data, BACKUP, own)
    assert "keys-mirror" in caught.value.hint


def test_slots_cannot_be_added_removed_reordered_or_taken_from_another_generation() -> None:
    value = canonical.parse(KEYS)
    wrapped, digests = value["slots"], value["digests"]
    earlier = canonical.parse(wrap_dek(DEK, BACKUP, ALL, generation=2))
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2):
            chosen = {"slots": [wrapped[n] for n in order], "digests": [digests[n] for n in order]}
            with pytest.raises(ManifestInvalid, match="edited"):
                unwrap_dek(edited(**chosen), BACKUP, RAW)
    changes: list[dict[str, Any]] = [
        {"slots": wrapped[:1], "digests": digests[:1]},
        {"slots": [*wrapped, wrapped[0]], "digests": [*digests, digests[0]]},
        {"slots": earlier["slots"], "digests": earlier["digests"]},
        {"generation": 4},
        {"mac": earlier["mac"]},
    ]
    for change in changes:
        with pytest.raises(ManifestInvalid, match="edited"):
            unwrap_dek(edited(**change), BACKUP, RAW)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 0},
        {"generation": True},
        {"generation": "1"},
        {"generation": 10**6},
        {"slots": []},
        {"slots": {}},
        {"digests": None},
        {"digests": []},
        {"slots": [{}] * 17, "digests": [""] * 17},
        {"mac": "AAAA"},
        {"mac": None},
        {"extra": 1},
        {"backup": bytes(16).hex()},
        {"backup": None},
    ],
    ids=str,
)
def test_a_malformed_object_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestInvalid):
        unwrap_dek(edited(**change), BACKUP, RAW)


def test_hostile_json_is_refused() -> None:
    twice = KEYS.replace(b'"generation":3', b'"generation":3,"generation":3')
    for data in (twice, KEYS.replace(b":3,", b":3.0,"), b"[" * 60_000, b" " * (64 << 10) + KEYS):
        with pytest.raises(ManifestInvalid):
            unwrap_dek(data, BACKUP, RAW)


def test_a_newer_format_is_not_guessed() -> None:
    with pytest.raises(NotAnArchive) as caught:
        unwrap_dek(edited(format="covetbackup keys 2"), BACKUP, RAW)
    assert "newer" in caught.value.hint


def test_the_keys_of_another_backup_are_refused_even_under_its_name() -> None:
    other = bytes(16)
    with pytest.raises(ManifestInvalid, match="another backup"):
        unwrap_dek(KEYS, other, RAW)
    for ring in (RAW, RECOVERY):
        with pytest.raises(ManifestInvalid):
            unwrap_dek(edited(backup=other.hex()), other, ring)


def test_unknown_kinds_of_slot_are_skipped() -> None:
    value = canonical.parse(KEYS)
    future = {"kind": "kms", "key": "kms-0011", "blob": "AAAA", "region": {"name": "x"}}
    value["slots"].append(future)
    unsigned = resigned(value)
    assert unwrap_dek(unsigned, BACKUP, RAW).dek == DEK
    assert unwrap_dek(unsigned, BACKUP, RAW).broken == ()


@pytest.mark.parametrize(
    "kdf",
    [
        {"name": "argon2id", "iterations": 1, "memory_kib": 8, "lanes": 1},
        {"name": "argon2id", "iterations": 3, "memory_kib": 1 << 30, "lanes": 4},
        {"name": "scrypt", "log_n": 40, "r": 8, "p": 1},
        {"name": "pbkdf2-hmac-sha256", "iterations": 1},
        {"name": "pbkdf2-hmac-sha256", "iterations": 1 << 50},
        {"name": "md5"},
        None,
    ],
    ids=str,
)
def test_hostile_kdf_parameters_are_refused_before_any_work(
    kdf: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def derive(*_: object) -> bytes:
        raise AssertionError("a derivation was started")

    monkeypatch.setattr("covetbackup.core.crypto.kdf.KdfParams.derive", derive)
    value = canonical.parse(KEYS)
    value["slots"][1]["kdf"] = kdf
    ring = Keyring.of([passphrase_key(WORDS, cost=Pbkdf2Cost(), salt=bytes(16))])
    with pytest.raises(ManifestInvalid):
        unwrap_dek(resigned(value), BACKUP, ring)


def test_a_wrong_passphrase_is_called_that() -> None:
    with pytest.raises(WrongPassphrase) as caught:
        unwrap_dek(KEYS, BACKUP, WRONG_PHRASE)
    assert RAW_ID in caught.value.hint


def test_with_only_a_public_key_the_private_one_is_asked_for() -> None:
    public = Keyring(recipients=WORKING.recipients)
    with pytest.raises(KeyUnavailable, match="only the public half") as caught:
        unwrap_dek(KEYS, BACKUP, public)
    assert RECOVERY_ID in caught.value.message and "private key" in caught.value.hint


@pytest.mark.parametrize(
    "keyring",
    [Keyring(), Keyring.of([RawKey(bytes(32))]), Keyring.of([RecipientKey(bytes(31) + b"1")])],
    ids=["empty", "raw", "x25519"],
)
def test_without_a_fitting_key_the_wanted_ids_are_listed(keyring: Keyring) -> None:
    with pytest.raises(UnknownRecipient) as caught:
        unwrap_dek(KEYS, BACKUP, keyring)
    for key_id in (RAW_ID, PHRASE_ID, RECOVERY_ID):
        assert key_id in caught.value.hint


def test_a_write_only_server_can_wrap_but_not_open() -> None:
    recipients = tuple(RecipientKey(bytes([n]) * 32).recipient for n in (1, 2))
    public = Keyring(recipients=recipients)
    data = wrap_dek(DEK, BACKUP, public, generation=1)
    with pytest.raises(KeyUnavailable):
        unwrap_dek(data, BACKUP, public)
    opened = unwrap_dek(data, BACKUP, Keyring.of([RecipientKey(b"\2" * 32)]))
    assert opened.dek == DEK and not opened.symmetric


def test_rotation_gives_the_same_key_to_another_ring() -> None:
    fresh = Keyring.of(new_keys().working)
    rotated = wrap_dek(unwrap_dek(KEYS, BACKUP, RAW).dek, BACKUP, fresh, generation=4)
    assert unwrap_dek(rotated, BACKUP, fresh).dek == DEK
    assert unwrap_dek(rotated, BACKUP, fresh).generation == 4
    with pytest.raises(UnknownRecipient):
        unwrap_dek(rotated, BACKUP, RAW)


@pytest.mark.parametrize(("keyring", "least"), [(Keyring(), 0), (Keyring(), 1), (RAW, 2), (ALL, 4)])
def test_too_few_keys_are_refused_with_a_way_out(keyring: Keyring, least: int) -> None:
    with pytest.raises(BadSetting) as caught:
        wrap_dek(DEK, BACKUP, keyring, generation=1, min_slots=least)
    assert "recovery key" in caught.value.hint and "--min-keys" in caught.value.hint


def test_one_key_is_enough_when_asked_for() -> None:
    data = wrap_dek(DEK, BACKUP, RAW, generation=1, min_slots=1)
    assert unwrap_dek(data, BACKUP, RAW).dek == DEK


def test_more_keys_than_a_reader_accepts_are_refused() -> None:
    ring = Keyring(raw=tuple(RawKey(bytes([n]) * 32) for n in range(17)))
    with pytest.raises(BadSetting, match="at most 16"):
        wrap_dek(DEK, BACKUP, ring, generation=1)


def test_a_short_passphrase_protects_nothing_new() -> None:
    short = Keyring.of([passphrase_key("thirteen char", cost=Pbkdf2Cost()), *NEW.working])
    with pytest.raises(BadSetting, match="14 characters"):
        wrap_dek(DEK, BACKUP, short, generation=1)
    with pytest.raises(BadSetting, match="empty"):
        passphrase_key("\n")


def test_a_slot_that_anybody_could_forge_does_not_vouch_for_its_writer() -> None:
    forged = wrap_dek(Dek(bytes(32)), BACKUP, Keyring(recipients=WORKING.recipients),
                      generation=9, min_slots=1)  # fmt: skip
    assert not unwrap_dek(forged, BACKUP, RECOVERY).symmetric


def test_every_refusal_is_typed_whatever_stands_in_a_slot() -> None:
    junk = [None, 1, "x", [], {}, {"kind": "raw"}, {"kind": "raw", "key": "a\nb"}, {"kind": 1}]
    for slot in junk:
        value = canonical.parse(KEYS)
        value["slots"][0] = slot
        with pytest.raises(CovetError):
            unwrap_dek(resigned(value), BACKUP, RAW)
        assert unwrap_dek(canonical.dump(value), BACKUP, RECOVERY).broken in (
            ("slot 1",),
            (RAW_ID,),
        )


def resigned(value: dict[str, Any]) -> bytes:
    """`value` with digests and MAC as an owner of the DEK would have written them."""
    digests = [digest(slot) for slot in value["slots"]]
    head = {"format": value["format"], "backup": value["backup"]}
    head = {**head, "generation": value["generation"], "digests": digests}
    tag = mac(DEK, BACKUP, Purpose.KEYS, canonical.dump(head))
    return canonical.dump({**head, "slots": value["slots"], "mac": canonical.encode_bytes(tag)})
