"""The keys and signers a process holds: what new backups are wrapped for, what can be opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from covetbackup.core.crypto import kdf, keyfile
from covetbackup.core.crypto.keys import (
    PassphraseKey,
    RawKey,
    Recipient,
    RecipientKey,
    WrappingKey,
    passphrase_key,
)
from covetbackup.core.crypto.signing import Signer, TrustedSigner, new_signer
from covetbackup.core.errors import BadSetting

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Immutable. `recipients` holds public halves only; `recipient_keys` implies its own."""

    raw: tuple[RawKey, ...] = ()
    passphrases: tuple[PassphraseKey, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    recipient_keys: tuple[RecipientKey, ...] = ()
    signer: Signer | None = None
    trusted: tuple[TrustedSigner, ...] = ()

    @classmethod
    def load(
        cls,
        key_files: Iterable[Path] = (),
        passphrase_files: Iterable[Path] = (),
        *,
        cost: kdf.Cost | None = None,
        passphrase_salt: bytes | None = None,
    ) -> Keyring:
        """Return all keys of the files as one keyring.

        `cost` and `passphrase_salt` (16 bytes, see `passphrase_key`) are for wrapping new backups;
        opening takes what each slot says. Raises `BadSetting` for a file that is missing,
        malformed, or holds a secret that other users may read, and for two signers.
        """
        keys = [key for path in key_files for key in keyfile.read(path)]
        texts = [keyfile.read_passphrase(path) for path in passphrase_files]
        phrases = [passphrase_key(text, cost=cost, salt=passphrase_salt) for text in texts]
        return cls.of([*keys, *phrases])

    @classmethod
    def of(cls, keys: Sequence[keyfile.FileKey | PassphraseKey]) -> Keyring:
        """Return a keyring of `keys`, each once. Raises `BadSetting` for two signers."""
        signers = _distinct(keys, Signer)
        if len(signers) > 1:
            raise BadSetting(
                "the key files hold two signing keys", "which one signs? leave the other out"
            )
        return cls(
            raw=_distinct(keys, RawKey),
            passphrases=_distinct(keys, PassphraseKey),
            recipients=_distinct(keys, Recipient),
            recipient_keys=_distinct(keys, RecipientKey),
            signer=signers[0] if signers else None,
            trusted=_distinct(keys, TrustedSigner),
        )

    @property
    def wrapping(self) -> tuple[WrappingKey, ...]:
        """Every key a new backup gets a slot for, each once."""
        recipients = (*self.recipients, *(key.recipient for key in self.recipient_keys))
        return (*self.raw, *self.passphrases, *dict.fromkeys(recipients))

    @property
    def can_read(self) -> bool:
        """Whether any secret is here; without one, backups can be written but not opened."""
        return bool(self.raw or self.passphrases or self.recipient_keys)

    def trusted_signer(self, signer_id: str) -> TrustedSigner | None:
        """Return the pinned signer of that id, or our own; None for any other."""
        own = (self.signer.trusted,) if self.signer else ()
        return next((s for s in (*own, *self.trusted) if s.signer_id == signer_id), None)


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The two sets of keys that `keygen` makes.

    `working` stays with the server: it writes, signs and reads. `recovery` goes to a safe place: it
    reads everything and verifies who made it.
    """

    working: tuple[keyfile.FileKey, ...]
    recovery: tuple[keyfile.FileKey, ...]


def new_working_key() -> RawKey:
    """Return a fresh symmetric key."""
    return RawKey(os.urandom(32))


def new_keys() -> NewKeys:
    """Fresh keys: each backup made with `working` opens with either."""
    signer, recovery = new_signer(), RecipientKey(os.urandom(32))
    return NewKeys(
        working=(new_working_key(), signer, recovery.recipient),
        recovery=(recovery, signer.trusted),
    )


def write_new_keys(keys: NewKeys, working: Path, recovery: Path) -> None:
    """Write both key files or neither, each 0600.

    Raises `BadSetting` if one exists or cannot be made.
    """
    keyfile.create(working, keys.working, title="CovetBackup working keys: keep on the server")
    try:
        keyfile.create(
            recovery,
            keys.recovery,
            title="CovetBackup recovery keys: keep away from the server, print a copy",
        )
    except BaseException:
        working.unlink()
        raise


def _distinct(keys: Iterable[object], kind: type[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(key for key in keys if isinstance(key, kind)))
