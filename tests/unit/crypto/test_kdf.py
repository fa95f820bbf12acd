"""Passphrases become the keys that the standards say, within bounds that no keys object moves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from covetbackup.core.crypto import kdf
from covetbackup.core.crypto.kdf import Argon2idCost, Cost, KdfParams, Pbkdf2Cost, ScryptCost
from covetbackup.core.crypto.keys import passphrase_key
from covetbackup.core.errors import BadSetting, ManifestInvalid

SALT = bytes(range(16))


def test_pbkdf2_and_scrypt_agree_with_the_standard_library() -> None:
    expected = hashlib.pbkdf2_hmac("sha256", b"words", SALT, 600_000)
    assert KdfParams(Pbkdf2Cost(), SALT).derive(b"words") == expected
    expected = hashlib.scrypt(b"words", salt=SALT, n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32)
    assert KdfParams(ScryptCost(), SALT).derive(b"words") == expected


@pytest.mark.parametrize(
    "cost",
    [
        Argon2idCost(iterations=1),
        Argon2idCost(iterations=2),
        Argon2idCost(iterations=1 << 30),
        Argon2idCost(memory_kib=8),
        Argon2idCost(memory_kib=1 << 30),
        Argon2idCost(lanes=0),
        Argon2idCost(lanes=1 << 20),
        ScryptCost(log_n=1),
        ScryptCost(log_n=40),
        ScryptCost(r=1),
        ScryptCost(r=1 << 30),
        ScryptCost(log_n=20, r=32),
        ScryptCost(p=0),
        ScryptCost(p=1 << 30),
        Pbkdf2Cost(1),
        Pbkdf2Cost(599_999),
        Pbkdf2Cost(1 << 40),
        Pbkdf2Cost(-600_000),
        Pbkdf2Cost(True),
        Pbkdf2Cost("600000"),  # type: ignore[arg-type]
        Pbkdf2Cost(None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_costs_out_of_bounds_are_refused_before_any_work(cost: Cost) -> None:
    with pytest.raises(BadSetting, match="out of bounds"):
        KdfParams(cost, SALT)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_salt_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(BadSetting, match="salt"):
        KdfParams(Argon2idCost(), bytes(size))


@pytest.mark.parametrize("cost", [Argon2idCost(4, 70_000, 2), ScryptCost(18, 8, 2), Pbkdf2Cost()])
def test_costs_survive_json(cost: Cost) -> None:
    data = kdf.cost_to_json(cost)
    assert kdf.cost_from_json(data) == cost
    extra, fewer = {**data, "threads": 1}, {"name": data["name"]}
    other: list[Any] = [extra, fewer, {**data, "name": "md5"}, {**data, "name": []}, [], None]
    for malformed in other:
        with pytest.raises(ManifestInvalid):
            kdf.cost_from_json(malformed)


def test_the_same_words_give_the_same_bytes_however_they_were_typed() -> None:
    composed, decomposed = "Stra\u00dfe \u00e9t\u00e9", "Stra\u00dfe e\u0301te\u0301"
    assert kdf.normalise(composed) == kdf.normalise(decomposed)
    assert kdf.normalise("words\n") == kdf.normalise("words\r\n") == b"words"
    assert kdf.normalise("words\n\n") == b"words\n"
    assert kdf.normalise(" words ") == b" words "


def test_a_derivation_is_paid_once_per_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def derive(params: KdfParams, passphrase: bytes) -> bytes:
        calls.append(params.salt)
        return hashlib.sha256(params.salt + passphrase).digest()

    monkeypatch.setattr(KdfParams, "derive", derive)  # stands in for 170 ms of Argon2id
    key = passphrase_key("correct horse battery", salt=SALT)
    other = replace(key.params, salt=bytes(16))
    assert key.kek(key.params) == key.kek(key.params) != key.kek(other)
    assert calls == [SALT, bytes(16)]
