"""The key types a keyring holds. Secrets have a blank repr; ids say which key, never its bytes."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from covetbackup.core.crypto import kdf
from covetbackup.core.crypto.kdf import KdfParams
from covetbackup.core.crypto.subkeys import hkdf
from covetbackup.core.errors import BadSetting

KEY_BYTES = 32
PASSPHRASE_MINIMUM = 14
"""Characters a passphrase needs to protect a new backup; old ones are opened with any length."""


@dataclass(frozen=True, slots=True)
class RawKey:
    """A symmetric KEK from a key file: reads and writes backups."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_length(self.secret)

    @property
    def key_id(self) -> str:
        return "raw-" + hkdf(self.secret, salt=b"", info=b"covetbackup/1 raw id", length=8).hex()


@dataclass(frozen=True, slots=True)
class Recipient:
    """The public half of an X25519 key: enough to write backups, not to read them."""

    public: bytes

    def __post_init__(self) -> None:
        _check_length(self.public)
        try:
            X25519PrivateKey.generate().exchange(self.loaded())
        except ValueError as error:  # a point of low order: everybody would know the DEK
            raise BadSetting("a public key is not usable") from error

    @property
    def key_id(self) -> str:
        return "x25519-" + hashlib.sha256(b"covetbackup/1 x25519\0" + self.public).hexdigest()[:16]

    def loaded(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.public)


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """The private half of an X25519 key: reads backups; its owner can write them too."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_length(self.secret)

    @property
    def recipient(self) -> Recipient:
        """The public half."""
        return Recipient(self.loaded().public_key().public_bytes_raw())

    @property
    def key_id(self) -> str:
        return self.recipient.key_id

    def loaded(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.secret)


@dataclass(frozen=True, slots=True)
class PassphraseKey:
    """A passphrase and the parameters it wraps new backups with.

    Each derivation is paid once for this object, whatever number of backups asks for it.
    """

    secret: bytes = field(repr=False)
    params: KdfParams
    _derived: dict[KdfParams, bytes] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def key_id(self) -> str:
        """The id; of the salt, not of the words, or guesses could be tested cheaply."""
        return passphrase_id(self.params)

    @property
    def is_long_enough(self) -> bool:
        """Whether new backups may be written under it."""
        return len(self.secret.decode("utf-8")) >= PASSPHRASE_MINIMUM

    def kek(self, params: KdfParams) -> bytes:
        """Return the 32-byte KEK, derived once with `params`, which a slot may prescribe."""
        with self._lock:
            if params not in self._derived:
                self._derived[params] = params.derive(self.secret)
            return self._derived[params]


WrappingKey = RawKey | PassphraseKey | Recipient


def passphrase_key(
    text: str, *, cost: kdf.Cost | None = None, salt: bytes | None = None
) -> PassphraseKey:
    """Return a key from what a person typed or a file holds (`kdf.normalise`).

    A `salt` (16 bytes) that is the same for a whole repository lets one derivation serve all its
    backups, also in the next process. Raises `BadSetting`.
    """
    secret = kdf.normalise(text)
    if not secret:
        raise BadSetting("the passphrase is empty")
    return PassphraseKey(
        secret, KdfParams(cost or kdf.Argon2idCost(), salt or os.urandom(kdf.SALT_BYTES))
    )


def passphrase_id(params: KdfParams) -> str:
    """Return the id of a passphrase key: "pass-" and 16 hex digits of its salt and cost."""
    cost = "/".join(f"{key}={value}" for key, value in kdf.cost_to_json(params.cost).items())
    named = b"covetbackup/1 passphrase\0" + cost.encode() + b"\0" + params.salt
    return "pass-" + hashlib.sha256(named).hexdigest()[:16]


def _check_length(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise BadSetting(f"a key has {KEY_BYTES} bytes")
