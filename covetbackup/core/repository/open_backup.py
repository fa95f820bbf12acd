"""Opening of one backup with a keyring: its DEK, its details, and why it may be trusted."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.signing import TrustedSigner
from covetbackup.core.errors import Untrusted
from covetbackup.core.repository import manifest_json
from covetbackup.core.repository.keys_store import open_keys
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest, Trust
from covetbackup.core.repository.repository import BackupRepository


@dataclass(frozen=True, slots=True)
class OpenedBackup:
    """A manifest with its details, and the key that opened it ("" if it is not encrypted).

    `problems` are damaged copies of the keys object that were not needed.
    """

    manifest: Manifest
    dek: Dek | None
    trust: Trust
    problems: tuple[str, ...]
    key_id: str = ""

    def require_trust(self) -> None:
        """Raise `Untrusted` when any program that writes to the storage could have made it."""
        if self.trust is Trust.UNTRUSTED:
            signer = signer_of(self.manifest)
            name = signer.signer_id if signer else "no key"
            raise Untrusted(
                f"backup {self.manifest.label} is signed by {name}, not by a signer the keyring "
                "trusts; restoring it may run code that its writer chose",
                "add the signer's public key to the key file, or accept it if you know its origin",
            )


def open_backup(
    repository: BackupRepository, label: Label, keyring: Keyring, *, data: bytes | None = None
) -> OpenedBackup:
    """Open the backup `label`; `data` are the bytes of its manifest if they were read already.

    Raises `ObjectNotFound`, `ManifestInvalid`, `Tampered`, `KeyUnavailable`.
    """
    data = repository.manifest_bytes(label) if data is None else data
    manifest = manifest_json.decode(data, label)
    if manifest.suite is None:
        return OpenedBackup(manifest, None, _trust(manifest, keyring, False), ())
    found = open_keys(repository.storage, label, keyring)
    opened = manifest_json.unlock(data, manifest, found.opened.dek)
    trust = _trust(manifest, keyring, found.opened.symmetric)
    return OpenedBackup(opened, found.opened.dek, trust, found.problems, found.opened.key_id)


def signer_of(manifest: Manifest) -> TrustedSigner | None:
    """Return the signer of the manifest, whose signature was checked when it was decoded."""
    return TrustedSigner(base64.b64decode(manifest.signer)) if manifest.signer else None


def _trust(manifest: Manifest, keyring: Keyring, symmetric: bool) -> Trust:
    signer = signer_of(manifest)
    if signer is not None and keyring.trusted_signer(signer.signer_id) == signer:
        return Trust.SIGNED
    # A recipient's public half is enough to make a backup that decrypts; a shared secret is not.
    return Trust.AUTHENTICATED if symmetric else Trust.UNTRUSTED
