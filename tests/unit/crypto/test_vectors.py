"""The published vectors open, and the independent writer still makes the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.crypto import canonical
from covetbackup.core.crypto.chunks import FinalFlag, StreamId, decrypt
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.envelope import unwrap_dek
from covetbackup.core.crypto.header import Header, object_number
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.seek import SeekReader
from covetbackup.core.crypto.subkeys import Purpose, decrypt_bytes, mac
from covetbackup.core.crypto.suites import Suite
from tests.vectors.crypto import make

FILES = Path(make.__file__).parent
PLAIN = (FILES / "plain.bin").read_bytes()
VALUES: dict[str, Any] = json.loads((FILES / "vectors.json").read_bytes())
DEK, BACKUP = Dek(bytes.fromhex(VALUES["dek"])), bytes.fromhex(VALUES["backup"])


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """All keys of the vectors, from private copies of their files."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("working.key", "recovery.key", "passphrase.txt"):
        (folder / name).write_bytes((FILES / name).read_bytes())
        (folder / name).chmod(0o600)
    keys = [folder / "working.key", folder / "recovery.key"]
    return Keyring.load(keys, [folder / "passphrase.txt"])


@pytest.mark.parametrize("suite", Suite)
def test_the_object_of_each_suite_opens(suite: Suite) -> None:
    data, stream = (FILES / f"{suite}.cvb").read_bytes(), StreamId(BACKUP, object_number(1, 0))
    assert Header.parse(data).suite is suite
    assert b"".join(decrypt(DEK, stream, expect=FinalFlag.END)(iter([data]))) == PLAIN
    reader = SeekReader(lambda at, length: data[at : at + length], len(data), DEK, stream)
    assert reader.read(4000, 9000) == PLAIN[4000:13000]


def test_the_volumes_open_in_order() -> None:
    plain = b""
    for volume, expect in enumerate([FinalFlag.MORE, FinalFlag.END]):
        stream = decrypt(DEK, StreamId(BACKUP, object_number(2, volume)), expect=expect)
        plain += b"".join(stream(iter([(FILES / f"volume-{volume}.cvb").read_bytes()])))
    assert plain == PLAIN


def test_the_empty_object_opens() -> None:
    stream = StreamId(BACKUP, object_number(3, 0))
    pieces = iter([(FILES / "empty.cvb").read_bytes()])
    assert b"".join(decrypt(DEK, stream, expect=FinalFlag.END)(pieces)) == b""


@pytest.mark.parametrize("kind", ["raw", "x25519", "argon2id", "scrypt", "pbkdf2"])
def test_a_keys_object_with_each_kind_of_slot_opens(kind: str, keyring: Keyring) -> None:
    opened = unwrap_dek((FILES / f"keys-{kind}.json").read_bytes(), BACKUP, keyring)
    assert (opened.dek, opened.generation) == (DEK, 1)
    assert opened.symmetric is (kind != "x25519")


@pytest.mark.parametrize("kind", ["raw", "passphrases", "recipient_keys"])
def test_a_keys_object_with_all_kinds_of_slots_opens_with_each(kind: str, keyring: Keyring) -> None:
    alone = Keyring(**{kind: getattr(keyring, kind)})
    opened = unwrap_dek((FILES / "keys-all.json").read_bytes(), BACKUP, alone)
    assert (opened.dek, opened.generation) == (DEK, 2)
    assert opened.broken == ()


def test_derived_values_and_ids_are_the_published_ones(keyring: Keyring) -> None:
    assert keyring.raw[0].key_id == VALUES["raw_key_id"]
    assert keyring.recipient_keys[0].key_id == VALUES["x25519_key_id"]
    assert keyring.trusted[0].signer_id == VALUES["signer_id"]
    wanted = VALUES["mac_of_manifest"]
    assert mac(DEK, BACKUP, Purpose.MANIFEST, wanted["data"].encode()).hex() == wanted["mac"]
    sealed = bytes.fromhex(VALUES["sealed"]["sealed"])
    assert decrypt_bytes(DEK, BACKUP, Purpose.SEALED, sealed) == VALUES["sealed"]["data"].encode()
    signed = VALUES["signature_of_manifest"]
    assert keyring.signer is not None
    data = signed["data"].encode()
    assert keyring.signer.sign(data, Purpose.MANIFEST).hex() == signed["signature"]
    example = VALUES["canonical"]
    assert canonical.dump(example["value"]) == example["bytes"].encode()


def test_the_independent_writer_makes_the_same_bytes() -> None:
    for name, data in make.build().items():
        assert (FILES / name).read_bytes() == data, name
