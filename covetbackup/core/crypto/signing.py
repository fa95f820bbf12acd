"""Ed25519 signatures (RFC 8032): who made a manifest, beyond who could encrypt it.

With public-key recipients every program that can write to a storage can make a backup that decrypts
perfectly; restoring it would run the forger's SQL. Only a signature tells them apart.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from covetbackup.core.crypto.subkeys import Purpose
from covetbackup.core.errors import BadSetting, Tampered


@dataclass(frozen=True, slots=True)
class TrustedSigner:
    """The public half of a signer: 32 bytes that are pinned in a keyring."""

    public: bytes

    def __post_init__(self) -> None:
        if len(self.public) != 32:
            raise BadSetting("a signer's public key has 32 bytes")

    @property
    def signer_id(self) -> str:
        """The name `sign-` and 16 hex digits: no proof, so verify with the pinned key."""
        return "sign-" + hashlib.sha256(b"covetbackup/1 signer\0" + self.public).hexdigest()[:16]

    def verify(self, data: bytes, purpose: Purpose, *, signature: bytes) -> None:
        """Check that `signature` is this signer's for `data` and `purpose`.

        Raises `Tampered` if it is not.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(
                signature, _signed(data, purpose)
            )
        except (InvalidSignature, ValueError) as error:
            raise Tampered(f"the signature of {self.signer_id} does not match") from error


@dataclass(frozen=True, slots=True)
class Signer:
    """An Ed25519 signing key. Its repr shows nothing."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != 32:
            raise BadSetting("a signing seed has 32 bytes")

    @property
    def trusted(self) -> TrustedSigner:
        """The public half, which verifies."""
        return TrustedSigner(self._key().public_key().public_bytes_raw())

    @property
    def signer_id(self) -> str:
        return self.trusted.signer_id

    def sign(self, data: bytes, purpose: Purpose) -> bytes:
        """Return the signature, 64 bytes; one for one purpose is not valid for another."""
        return self._key().sign(_signed(data, purpose))

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def new_signer() -> Signer:
    """Return a signer from the operating system's generator."""
    return Signer(os.urandom(32))


def _signed(data: bytes, purpose: Purpose) -> bytes:
    return b"covetbackup/1 signature\0" + purpose.encode() + b"\0" + data
