"""Secrets at rest in the catalog: each is encrypted for the one row and field it belongs to.

A token is `v1:<key id>:<Fernet token of {"at": place, "v": text}>`. Without the place inside, a
user who can write to the catalog could move a password into a row with a host of their own.

Keys are never created here except by `create_key_file`, which `init` calls for a catalog that was
never set up. A key that is missing locks everything that needs a secret, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models

from backups.catalog_location import location_of_catalog
from backups.errors import SecretsLocked
from backups.models import EncryptionKey, Installation, Repository, Server
from covetbackup.command_line import command
from covetbackup.core.crypto import keyfile
from covetbackup.core.errors import BadSetting, Tampered
from covetbackup.core.stream import disk

_VERSION = "v1"
_CANARY_PLACE = "installation:1:canary"
_CANARY = "the right key opened this"
ENCRYPTED_FIELDS: tuple[tuple[type[models.Model], str], ...] = (
    (Server, "password"),
    (Repository, "credentials"),
    (EncryptionKey, "secret"),
)
"""Every field of the catalog that holds a token."""


@dataclass(frozen=True, slots=True)
class CatalogKey:
    """One key of the key file: its id is 8 hex digits of its SHA-256."""

    key_id: str
    fernet: Fernet


def encrypt(text: str, at: str) -> str:
    """Return the token of `text` for the place `at` ("server:7:password").

    It is encrypted with the newest key. Raises `SecretsLocked`, also when the key file is not the
    one this catalog was set up with: what another key encrypts could not be decrypted later.
    """
    require_open()
    return _encrypted(_keys()[0], text, at)


def decrypt(token: str, at: str) -> str:
    """Return the text of `token`.

    Raises `SecretsLocked` without its key, `Tampered` if the token was changed or belongs to
    another place.
    """
    version, _, rest = token.partition(":")
    key_id, _, token = rest.partition(":")
    if version != _VERSION or not token:
        raise Tampered(f"the secret at {at} is not an encrypted value")
    try:
        opened = json.loads(_key(key_id).fernet.decrypt(token))
    except InvalidToken as error:
        raise Tampered(
            f"the secret at {at} was changed in the catalog", "enter it again"
        ) from error
    if opened["at"] != at:
        raise Tampered(
            f"the secret at {at} was encrypted for another place",
            "it was moved in the catalog; enter it again",
        )
    return str(opened["v"])


def place_of(row: models.Model, field: str) -> str:
    """Return the place that the secret in `field` of the saved `row` belongs to."""
    if row.pk is None:
        raise ValueError(f"{row._meta.model_name} must be saved before its {field} is encrypted")
    return f"{row._meta.model_name}:{row.pk}:{field}"


def encrypt_field(row: models.Model, field: str, text: str) -> None:
    """Seal `text` into `field` of `row` and save that field; "" empties it."""
    setattr(row, field, encrypt(text, place_of(row, field)) if text else "")
    row.save(update_fields=[field])


def decrypt_field(row: models.Model, field: str) -> str:
    """Return the text encrypted in `field` of `row`, "" if there is none. Raises as `decrypt`."""
    token: str = getattr(row, field)
    return decrypt(token, place_of(row, field)) if token else ""


def require_open() -> None:
    """Raise `SecretsLocked` unless the key of this catalog is at hand."""
    installation = Installation.objects.first()
    if installation is None:
        raise SecretsLocked(
            "this catalog was never set up, so its secrets have no key", f"run {command('init')}"
        )
    try:
        opened = decrypt(installation.canary, _CANARY_PLACE)
    except Tampered as error:
        raise SecretsLocked(
            f"{settings.CATALOG_KEYS_FILE} does not fit this catalog", "put the right key file back"
        ) from error
    if opened != _CANARY:
        raise SecretsLocked("the catalog's canary is not ours", "restore the catalog?")


def is_locked() -> bool:
    """Return whether work that needs a secret is refused now."""
    try:
        require_open()
    except SecretsLocked:
        return True
    return False


def set_canary() -> None:
    """Bind this catalog to the newest key of the file, once.

    Raises `SecretsLocked`, and `BadSetting` if it is bound already or holds values encrypted
    before.
    """
    if Installation.objects.exists() or has_encrypted_values():
        raise BadSetting("this catalog has its key already", "check it with check_secrets")
    canary = _encrypted(_keys()[0], _CANARY, _CANARY_PLACE)
    Installation.objects.create(pk=1, canary=canary, place=location_of_catalog())


def has_encrypted_values() -> bool:
    """Return whether the catalog holds encrypted values."""
    return any(model.objects.exclude(**{field: ""}).exists() for model, field in ENCRYPTED_FIELDS)


def create_key_file() -> None:
    """Create a key in a new file, 0600.

    Raises `BadSetting` if the file exists, or if the catalog holds encrypted values: a new key
    would only hide that theirs is lost.
    """
    path: Path = settings.CATALOG_KEYS_FILE
    if Installation.objects.exists() or has_encrypted_values():
        raise BadSetting(
            f"the catalog holds secrets encrypted with a key that is not in {path}",
            "put the key file back; a new key could not open them",
        )
    write_private(path, Fernet.generate_key().decode() + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a new durable file that only this user can read. Raises `BadSetting`."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadSetting(f"{path} cannot be made: {error.strerror}") from error
    try:
        with open(handle, "w", encoding="utf-8") as file:
            keyfile.refuse_exposed(handle, path)
            file.write(text)
            file.flush()
            disk.sync(file.fileno())
        disk.sync_folder(path.parent)
    except OSError as error:
        path.unlink()
        reason = (error.strerror or str(error)).lower()
        raise BadSetting(f"{path} cannot be written: {reason}", "is there room?") from error
    except BaseException:
        path.unlink()
        raise


def _encrypted(key: CatalogKey, text: str, at: str) -> str:
    token = key.fernet.encrypt(json.dumps({"at": at, "v": text}).encode()).decode()
    return f"{_VERSION}:{key.key_id}:{token}"


def _key(key_id: str) -> CatalogKey:
    for key in _keys():
        if key.key_id == key_id:
            return key
    raise SecretsLocked(
        f"locked: key {key_id[:16]} is missing",
        f"put its line back into {settings.CATALOG_KEYS_FILE}",
    )


def _keys() -> list[CatalogKey]:
    """The keys of the file, newest first. Read each time: a rotated file needs no restart."""
    path: Path = settings.CATALOG_KEYS_FILE
    hint = "put the key file back; new keys are made by init only, for a new catalog"
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65536).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsLocked(f"locked: {path} cannot be read", hint) from error
    if stat.S_IMODE(mode) & 0o077:
        raise SecretsLocked(f"locked: {path} can be read by other users", f"chmod 600 {path}")
    lines = [line.strip() for line in text.splitlines()]
    keys = [_parsed(line, path) for line in lines if line and not line.startswith("#")]
    if not keys:
        raise SecretsLocked(f"locked: {path} holds no key", hint)
    return keys


def _parsed(line: str, path: Path) -> CatalogKey:
    try:
        return CatalogKey(hashlib.sha256(line.encode()).hexdigest()[:8], Fernet(line))
    except ValueError:
        # Not chained: the error would carry the key.
        raise SecretsLocked(
            f"locked: {path} holds a line that is no key", "one key on each line"
        ) from None
