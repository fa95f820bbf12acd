"""Writes a small repository with the engine as it is now, under keys that never change.

`python -m tests.vectors.repository.make FOLDER` makes FOLDER, which must not exist yet.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from covetbackup.core.crypto import kdf, keyfile
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.keys import PassphraseKey, RawKey, RecipientKey, passphrase_key
from covetbackup.core.crypto.signing import Signer
from covetbackup.core.manager import BackupManager, RestoreManager, create_repository
from covetbackup.core.repository.marker import GUIDES

PASSPHRASE = "six plain words for test vectors"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MEMBER = "main.sqlite"
VOLUME_SIZE = 4096
BACKUPS = [
    ("aes-256-gcm", "zstd", kdf.Argon2idCost()),
    ("chacha20-poly1305", "gzip", kdf.ScryptCost()),
    ("aes-256-cbc-hmac-sha256", "none", kdf.Pbkdf2Cost()),
    ("none", "none", None),
    ("none", "gzip", None),
    ("none", "bzip2", None),
    ("none", "lzma", None),
    ("none", "zstd", None),
]


def fixed(name: str, size: int = 32) -> bytes:
    """Stands where a key or salt should be random."""
    return hashlib.shake_256(f"covetbackup repository vector: {name}".encode()).digest(size)


RAW, RECOVERY, SIGNER = RawKey(fixed("raw")), RecipientKey(fixed("x25519")), Signer(fixed("signer"))


def main(folder: Path) -> None:
    folder.mkdir()
    keyfile.create(
        folder / "working.key", [RAW, SIGNER, RECOVERY.recipient], title="public: a test"
    )
    keyfile.create(folder / "recovery.key", [RECOVERY, SIGNER.trusted], title="public: a test")
    (folder / "passphrase.txt").write_text(PASSPHRASE + "\n", encoding="utf-8")
    (folder / "repository").mkdir()
    repository = create_repository(f"file://{(folder / 'repository').resolve()}")
    contents = {}
    minutes = (START + timedelta(minutes=number) for number in count())
    with tempfile.TemporaryDirectory() as scratch:
        source = make_database(Path(scratch) / "shop.sqlite")
        for cipher, codec, cost in BACKUPS:
            keyring = make_keyring(cost)
            label = str(
                BackupManager(repository, keyring, clock=lambda: next(minutes))
                .create_backup(
                    source, name="shop", cipher=cipher, codec=codec, volume_size=VOLUME_SIZE
                )
                .manifest.label
            )
            with RestoreManager(repository, keyring).open_member(label, MEMBER) as chunks:
                digest = hashlib.sha256(b"".join(chunks)).hexdigest()
            contents[label] = {"cipher": cipher, "codec": codec, "sha256": digest}
    for guide in GUIDES:
        (folder / "repository" / guide).unlink()  # for people; not part of the format
    text = json.dumps(contents, indent=2)
    (folder / "contents.json").write_text(text + "\n", encoding="utf-8")


def make_keyring(cost: kdf.Cost | None) -> Keyring:
    phrases: list[PassphraseKey] = []
    if cost is not None:
        phrases = [passphrase_key(PASSPHRASE, cost=cost, salt=fixed(cost.name, 16))]
    return Keyring.of([RAW, SIGNER, RECOVERY.recipient, *phrases])


def make_database(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price INTEGER)")
        # Noise, so that the compressed data too is more than one volume.
        rows = [(fixed(f"item {number}", 40).hex(), number * 7) for number in range(150)]
        connection.executemany("INSERT INTO orders (item, price) VALUES (?, ?)", rows)
    return f"sqlite:///{path}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
