"""Key files: text with one Bech32 key per line and `#` comments; and passphrase files.

covet-raw-         symmetric KEK               (secret, written in upper case)
covet-x25519-sec-  X25519 private key          (secret, written in upper case)
covet-x25519-pub-  X25519 public key: a recipient
covet-sign-sec-    Ed25519 signing seed        (secret, written in upper case)
covet-sign-pub-    Ed25519 public key: a trusted signer
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from covetbackup.core.crypto import bech32
from covetbackup.core.crypto.keys import RawKey, Recipient, RecipientKey
from covetbackup.core.crypto.signing import Signer, TrustedSigner
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream import disk

FileKey = RawKey | Recipient | RecipientKey | Signer | TrustedSigner

_SIZE_LIMIT = 64 << 10
_KINDS: dict[str, type[FileKey]] = {
    "covet-raw-": RawKey,
    "covet-x25519-sec-": RecipientKey,
    "covet-x25519-pub-": Recipient,
    "covet-sign-sec-": Signer,
    "covet-sign-pub-": TrustedSigner,
}


def encode(key: FileKey) -> str:
    """Return `key` as one line: secret keys in upper case, public ones in lower case."""
    prefix = next(prefix for prefix, kind in _KINDS.items() if isinstance(key, kind))
    if isinstance(key, Recipient | TrustedSigner):
        return bech32.encode(prefix, key.public)
    return bech32.encode(prefix, key.seed if isinstance(key, Signer) else key.secret).upper()


def decode(line: str) -> FileKey:
    """Return the key that `encode` wrote. Raises `BadSetting`, never quoting the line."""
    prefix, data = bech32.decode(line)
    if prefix not in _KINDS:
        raise BadSetting("a key is of an unknown kind", "does it need a newer CovetBackup?")
    return _KINDS[prefix](data)


def parse(text: str, *, name: str = "key file") -> list[FileKey]:
    """Return the keys of a key file's text. Raises `BadSetting` naming the line by its number."""
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if entry:
            keys.append(_decode_at(entry, f"{name}, line {number}"))
    if not keys:
        raise BadSetting(f"{name} holds no key")
    return keys


def render(keys: Iterable[FileKey], *, title: str) -> str:
    """Return the text of a key file, each key with its id above it."""
    return f"# {title}\n" + "".join(f"\n# {_key_id(key)}\n{encode(key)}\n" for key in keys)


def read(path: Path) -> list[FileKey]:
    """Return the keys in the file at `path`.

    Raises `BadSetting` if it is missing, malformed, or holds a secret and can be read by other
    users.
    """
    text, is_private = _read_text(path)
    keys = parse(text, name=str(path))
    if not is_private and not all(isinstance(key, Recipient | TrustedSigner) for key in keys):
        raise _exposed(path)
    return keys


def read_passphrase(path: Path) -> str:
    """Return the text of a passphrase file, unchanged. Raises `BadSetting` as `read` does."""
    text, is_private = _read_text(path)
    if not is_private:
        raise _exposed(path)
    return text


def create(path: Path, keys: Iterable[FileKey], *, title: str) -> None:
    """Write a new key file with mode 0600, durable when this returns.

    Raises `BadSetting` if `path` exists: a key file is never overwritten, it may be the only one.
    """
    data = render(keys, title=title).encode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise BadSetting(
            f"{path} exists already", "key files are never overwritten; choose another name"
        ) from error
    except OSError as error:
        raise BadSetting(
            f"{path} cannot be written: {_reason(error)}",
            "is its folder there, and may the user that runs this write there?",
        ) from error
    try:
        refuse_exposed(handle, path)
        _write_durably(handle, data, path.parent)
    except OSError as error:
        path.unlink()
        raise BadSetting(f"{path} cannot be written: {_reason(error)}", "is there room?") from error
    except BaseException:
        path.unlink()
        raise


def refuse_exposed(handle: int, path: Path) -> None:
    """Raise `BadSetting` where a new file does not get the mode it was made with."""
    if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
        raise BadSetting(
            f"{path} would be readable by other users: its file system keeps no permissions",
            "keep key files on another file system, or mount that one with umask=077",
        )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _write_durably(handle: int, data: bytes, folder: Path) -> None:
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        disk.sync(file.fileno())
    disk.sync_folder(folder)


def _read_text(path: Path) -> tuple[str, bool]:
    """The file's text and whether only its owner may read it, both of one opened file."""
    try:
        with open(path, "rb") as file:
            is_private = not stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            data = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _SIZE_LIMIT:
        raise BadSetting(f"{path} is too large for a key file")
    try:
        return data.decode("utf-8"), is_private
    except UnicodeDecodeError:
        raise BadSetting(f"{path} is not text in UTF-8") from None  # the error quotes the bytes


def _exposed(path: Path) -> BadSetting:
    return BadSetting(
        f"{path} holds a secret and other users may read it",
        f"chmod 600 {path}; on a file system without permissions, mount it with umask=077",
    )


def _decode_at(entry: str, place: str) -> FileKey:
    try:
        return decode(entry)
    except BadSetting as error:
        raise BadSetting(f"{place}: {error.message}", error.hint) from None


def _key_id(key: FileKey) -> str:
    return key.signer_id if isinstance(key, Signer | TrustedSigner) else key.key_id
