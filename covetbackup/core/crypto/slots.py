"""One wrapped copy of a DEK: how each kind of key wraps it and gets it back.

A slot is a JSON object. Its fields and the backup id enter the wrapping key's derivation, so a
slot that was edited, or moved to another backup, does not open.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from covetbackup.core.crypto import canonical, kdf
from covetbackup.core.crypto.dek import DEK_BYTES, Dek
from covetbackup.core.crypto.kdf import KdfParams
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.keys import PassphraseKey, RawKey, Recipient, WrappingKey
from covetbackup.core.crypto.subkeys import hkdf
from covetbackup.core.errors import BadSetting, ManifestInvalid, WrongPassphrase

RAW, PASSPHRASE, X25519 = "raw", "passphrase", "x25519"

SYMMETRIC = frozenset({RAW, PASSPHRASE})
"""Kinds that only an owner of the secret can write: they vouch for where a backup came from."""

_FIELDS = {
    RAW: {"kind", "key", "salt", "sealed"},
    PASSPHRASE: {"kind", "key", "kdf", "kdf_salt", "salt", "sealed"},
    X25519: {"kind", "key", "sealed"},
}
_PREFERENCE = {RAW: 0, PASSPHRASE: 1, X25519: 2}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SALT = 32
_ENCRYPTED_DEK_BYTES = DEK_BYTES + 16
_NONCE = bytes(12)  # each slot has a salt and so a key of its own
_HPKE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_HPKE_BYTES = 32 + _ENCRYPTED_DEK_BYTES


def wrap(dek: Dek, backup_id: bytes, key: WrappingKey) -> dict[str, Any]:
    """Return a new slot that holds `dek` wrapped for `key`."""
    if isinstance(key, Recipient):
        info = _hpke_info(backup_id, key.key_id)
        encrypted = _HPKE.encrypt(dek.secret, key.loaded(), info)
        return {"kind": X25519, "key": key.key_id, "sealed": canonical.encode_bytes(encrypted)}
    salt = os.urandom(_SALT)
    slot: dict[str, Any] = {"key": key.key_id, "salt": canonical.encode_bytes(salt)}
    if isinstance(key, PassphraseKey):
        slot["kind"] = PASSPHRASE
        slot["kdf"] = kdf.cost_to_json(key.params.cost)
        slot["kdf_salt"] = canonical.encode_bytes(key.params.salt)
        kek = key.kek(key.params)
    else:
        slot["kind"] = RAW
        kek = key.secret
    encrypted = _box(kek, salt, slot, backup_id).encrypt(_NONCE, dek.secret, None)
    return {**slot, "sealed": canonical.encode_bytes(encrypted)}


def unwrap(slot: dict[str, Any], backup_id: bytes, keyring: Keyring) -> Dek | None:
    """Return the DEK in `slot` (see `is_slot`), None if its key is not here or its kind unknown.

    Raises `ManifestInvalid` for a malformed slot, for KDF parameters out of bounds (before any
    derivation) and for one that the key it names does not open; `WrongPassphrase`.
    """
    kind = slot["kind"]
    if kind not in _FIELDS:
        return None
    if set(slot) != _FIELDS[kind]:
        raise ManifestInvalid("its fields are not those of its kind")
    if kind == RAW:
        return _unwrap_raw(slot, backup_id, keyring.raw)
    if kind == PASSPHRASE:
        return _unwrap_passphrase(slot, backup_id, keyring.passphrases)
    return _unwrap_x25519(slot, backup_id, keyring)


def is_slot(value: Any) -> bool:
    """Return whether `value` has a kind and a key id that are fit for messages."""
    if not isinstance(value, dict):
        return False
    names = (value.get("kind"), value.get("key"))
    return all(isinstance(name, str) and _NAME.fullmatch(name) for name in names)


def digest(slot: dict[str, Any]) -> str:
    """Return the SHA-256 of the slot in canonical form, in hexadecimal."""
    return hashlib.sha256(canonical.dump(slot)).hexdigest()


def preference(slot: dict[str, Any]) -> int:
    """Return the rank of a slot in the order to try: first what proves its writer, cheap first."""
    return _PREFERENCE.get(slot["kind"], len(_PREFERENCE))


def _unwrap_raw(slot: dict[str, Any], backup_id: bytes, keys: tuple[RawKey, ...]) -> Dek | None:
    salt, encrypted = _salt_and_encrypted(slot)
    key = next((key for key in keys if key.key_id == slot["key"]), None)
    if key is None:
        return None
    try:
        return Dek(_box(key.secret, salt, slot, backup_id).decrypt(_NONCE, encrypted, None))
    except InvalidTag as error:
        raise ManifestInvalid("its key is here and does not open it") from error


def _unwrap_passphrase(
    slot: dict[str, Any], backup_id: bytes, keys: tuple[PassphraseKey, ...]
) -> Dek | None:
    salt, encrypted = _salt_and_encrypted(slot)
    params = _kdf_params(slot)
    for key in keys:
        try:
            box = _box(key.kek(params), salt, slot, backup_id)
            return Dek(box.decrypt(_NONCE, encrypted, None))
        except InvalidTag:
            continue
    if keys:
        raise WrongPassphrase("the passphrase does not open it")
    return None


def _unwrap_x25519(slot: dict[str, Any], backup_id: bytes, keyring: Keyring) -> Dek | None:
    encrypted = canonical.decode_bytes(slot["sealed"], length=_HPKE_BYTES, name="its encrypted key")
    key = next((key for key in keyring.recipient_keys if key.key_id == slot["key"]), None)
    if key is None:
        return None
    try:
        return Dek(_HPKE.decrypt(encrypted, key.loaded(), _hpke_info(backup_id, slot["key"])))
    except (InvalidTag, ValueError, BadSetting) as error:
        raise ManifestInvalid("its key is here and does not open it") from error


def _salt_and_encrypted(slot: dict[str, Any]) -> tuple[bytes, bytes]:
    return (
        canonical.decode_bytes(slot["salt"], length=_SALT, name="its salt"),
        canonical.decode_bytes(
            slot["sealed"], length=_ENCRYPTED_DEK_BYTES, name="its encrypted key"
        ),
    )


def _kdf_params(slot: dict[str, Any]) -> KdfParams:
    salt = canonical.decode_bytes(slot["kdf_salt"], length=kdf.SALT_BYTES, name="its KDF salt")
    try:
        return KdfParams(kdf.cost_from_json(slot["kdf"]), salt)
    except BadSetting as error:
        raise ManifestInvalid(error.message) from error


def _box(kek: bytes, salt: bytes, slot: dict[str, Any], backup_id: bytes) -> AESGCM:
    """The cipher of a symmetric slot: every field but the encrypted key is bound into its key."""
    bound = {name: value for name, value in slot.items() if name != "sealed"}
    info = canonical.dump({**bound, "backup": backup_id.hex()})
    return AESGCM(hkdf(kek, salt=salt, info=b"covetbackup/1 slot\0" + info))


def _hpke_info(backup_id: bytes, key_id: str) -> bytes:
    return b"covetbackup/1 x25519 slot\0" + backup_id + key_id.encode()
