"""MACs and encryption of small texts under keys derived from a backup's DEK.

For everything of a backup that is not a stream: the keys object's MAC, the manifest's MAC and
encrypted part. Each purpose has its own key, so bytes of one can never pass as another.
"""

from __future__ import annotations

import hmac
import os
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from covetbackup.core.crypto.dek import Dek
from covetbackup.core.errors import Tampered

_SALT = 32
_NONCE = bytes(12)  # a fresh salt gives a fresh key each time, so the nonce may be constant


class Purpose(StrEnum):
    """The use of a derived key; it is part of the derivation."""

    KEYS = "keys"
    MANIFEST = "manifest"
    SEALED = "sealed"


def mac(dek: Dek, backup_id: bytes, purpose: Purpose, data: bytes) -> bytes:
    """Return the HMAC-SHA256 (32 bytes) of `data` under the key of `purpose` in this backup."""
    key = hkdf(dek.secret, salt=b"", info=_info(b"mac", backup_id, purpose))
    return hmac.digest(key, data, "sha256")


def check_mac(dek: Dek, backup_id: bytes, purpose: Purpose, data: bytes, *, tag: bytes) -> bool:
    """Return whether `tag` is the `mac` of `data`, compared in constant time."""
    return hmac.compare_digest(mac(dek, backup_id, purpose, data), tag)


def encrypt_bytes(dek: Dek, backup_id: bytes, purpose: Purpose, data: bytes) -> bytes:
    """Return `data` encrypted by AES-256-GCM, 48 bytes longer. For what fits in memory."""
    salt = os.urandom(_SALT)
    return salt + _box(dek, backup_id, purpose, salt).encrypt(_NONCE, data, None)


def decrypt_bytes(dek: Dek, backup_id: bytes, purpose: Purpose, encrypted: bytes) -> bytes:
    """Return what `encrypt_bytes` encrypted.

    Raises `Tampered` if anything differs: a byte, the DEK, the backup id or the purpose.
    """
    salt, body = encrypted[:_SALT], encrypted[_SALT:]
    try:
        return _box(dek, backup_id, purpose, salt).decrypt(_NONCE, body, None)
    except InvalidTag as error:
        raise Tampered(
            f"sealed {purpose} data of backup {backup_id.hex()} does not open",
            "is it damaged, cut, or from another backup?",
        ) from error


def hkdf(secret: bytes, *, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """Derive `length` bytes by HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


def _box(dek: Dek, backup_id: bytes, purpose: Purpose, salt: bytes) -> AESGCM:
    return AESGCM(hkdf(dek.secret, salt=salt, info=_info(b"seal", backup_id, purpose)))


def _info(use: bytes, backup_id: bytes, purpose: Purpose) -> bytes:
    return b"covetbackup/1 " + use + b"\0" + backup_id + purpose.encode()
