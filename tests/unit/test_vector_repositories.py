"""Repositories written in the past still open, with the engine and with the stand-alone reader."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core import covet_open
from covetbackup.core.crypto import canonical
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.manager import BackupManager, RestoreManager, open_repository
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Trust
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.core.stream.frames import MAX_COMPRESSED_BYTES, MAX_PLAIN_BYTES, FrameIndex
from tests.support.reader import Reader

VECTORS = Path(__file__).parents[1] / "vectors" / "repository"
FORMATS = sorted(folder.name for folder in VECTORS.glob("format-*"))
SECRETS = ("working.key", "recovery.key", "passphrase.txt")


@pytest.fixture(scope="module", params=FORMATS)
def vector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, as version control does not keep that a key file is private."""
    source = VECTORS / request.param
    folder = Path(shutil.copytree(source, tmp_path_factory.mktemp("vector") / request.param))
    for name in SECRETS:
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    reader.close()


def ring(vector: Path, secret: str) -> Keyring:
    keys, phrases = ([vector / secret], []) if secret.endswith(".key") else ([], [vector / secret])
    return Keyring.load(keys, phrases)


def contents(vector: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((vector / "contents.json").read_text())
    return found


def test_there_is_a_backup_of_each_suite_and_codec(vector: Path) -> None:
    made = {(each["cipher"], each["codec"]) for each in contents(vector).values()}
    listed = BackupManager(open_repository(f"file://{vector / 'repository'}")).list_backups()
    assert {str(entry.label) for entry in listed if entry.manifest} == set(contents(vector))
    assert {cipher for cipher, _ in made} == {
        "aes-256-gcm",
        "chacha20-poly1305",
        "aes-256-cbc-hmac-sha256",
        "none",
    }
    assert {codec for _, codec in made} == {"none", "gzip", "bzip2", "lzma", "zstd"}


@pytest.mark.parametrize("secret", SECRETS)
def test_the_engine_opens_every_backup(vector: Path, secret: str) -> None:
    repository = open_repository(f"file://{vector / 'repository'}")
    keyring = ring(vector, secret)
    for label, content in contents(vector).items():
        with RestoreManager(repository, keyring).open_member(label, "main.sqlite") as chunks:
            assert hashlib.sha256(b"".join(chunks)).hexdigest() == content["sha256"]
        trust = open_backup(repository, Label.parse(label), keyring).trust
        assert (trust is Trust.SIGNED) == secret.endswith(".key")


@pytest.mark.parametrize("secret", SECRETS)
def test_the_reader_opens_every_backup(vector: Path, reader: Reader, secret: str) -> None:
    option = "--key-file" if secret.endswith(".key") else "--passphrase-file"
    for label, content in contents(vector).items():
        given = ["--label", label, option, vector / secret]
        if content["cipher"] == "none" and secret == "passphrase.txt":
            given.append("--trust-any")
        found = reader.run(vector / "repository", "main.sqlite", *given)
        assert found.status == 0, found.said
        assert hashlib.sha256(found.output).hexdigest() == content["sha256"]


def test_the_examples_in_the_description_of_the_format_are_real() -> None:
    text = Path(covet_open.__file__).with_name("FORMAT.md").read_text(encoding="utf-8")
    vector = VECTORS / "format-1"
    [label] = [
        label
        for label, content in contents(vector).items()
        if (content["cipher"], content["codec"]) == ("none", "zstd")
    ]
    folder = vector / "repository" / "b" / label
    assert (vector / "repository" / "covet.json").read_text() in text
    assert label in text
    [member] = json.loads((folder / "manifest.json").read_bytes())["members"]
    assert canonical.dump(member["volumes"][1]).decode() in text
    index = (folder / "main.sqlite.index").read_bytes()
    assert f"    {index.hex(' ')}\n" in text
    assert list(FrameIndex.from_bytes(index)) == [(7974, 24576)]
    assert f"from 1 to {MAX_COMPRESSED_BYTES}, plain lengths from 1 to {MAX_PLAIN_BYTES}" in text
