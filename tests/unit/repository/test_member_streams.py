"""A stream that was stored in parts is read as one, by the engine and by the stand-alone reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keyring import Keyring, NewKeys, new_keys
from covetbackup.core.errors import Incomplete
from covetbackup.core.operations.verify import Finding, VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository.manifest import Manifest
from covetbackup.core.repository.member_streams import open_stream, streams
from covetbackup.core.repository.open_backup import open_backup
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.stream.base import Filter
from tests.support.doubles import make_backup, make_repository, names, read, replace, sample_bytes
from tests.support.reader import Reader

DATA = sample_bytes(300_000)
MEMBERS = {
    "globals.sql": b"CREATE ROLE shop;\n",
    "dump.pgc.0001": DATA[1000:200_000],
    "dump.pgc.0002": DATA[200_000:],
    "dump.pgc.0000": DATA[:1000],
    "other.0007": b"no part: there is no other.0000",
}


@pytest.fixture(scope="module")
def keys() -> NewKeys:
    return new_keys()


@pytest.fixture
def repository() -> BackupRepository:
    return make_repository()


@pytest.fixture
def manifest(repository: BackupRepository, keys: NewKeys) -> Manifest:
    return make_backup(repository, MEMBERS, Keyring.of(keys.working)).manifest


def test_parts_are_joined_in_the_order_of_their_names(
    repository: BackupRepository, manifest: Manifest, keys: NewKeys
) -> None:
    assert {stream.name: stream.members for stream in streams(manifest)} == {
        "globals.sql": ("globals.sql",),
        "dump.pgc": ("dump.pgc.0000", "dump.pgc.0001", "dump.pgc.0002"),
        "other.0007": ("other.0007",),
    }
    dek = open_backup(repository, manifest.label, Keyring.of(keys.working)).dek
    for name, data in (("dump.pgc", DATA), ("dump.pgc.0001", MEMBERS["dump.pgc.0001"])):
        with open_stream(repository, manifest, name, dek=dek, workers=1) as chunks:
            assert b"".join(chunks) == data


def test_the_engines_own_check_sees_the_joined_stream(
    repository: BackupRepository, manifest: Manifest, keys: NewKeys
) -> None:
    seen: dict[str, bytes] = {}

    def check(kind: str, name: str) -> Filter:
        def look(chunks: Iterator[bytes]) -> Iterator[bytes]:
            seen[name] = b"".join(chunks)
            yield seen[name]
            if name == "dump.pgc":
                raise Incomplete("no end mark")

        return look

    (finding,) = _verify(repository, manifest, keys, check)
    assert finding.where == "dump.pgc" and "no end mark" in str(finding.error)
    assert seen["dump.pgc"] == DATA and len(seen) == 3


def test_each_damaged_part_is_named(
    repository: BackupRepository, manifest: Manifest, keys: NewKeys
) -> None:
    for member in ("dump.pgc.0001", "dump.pgc.0002"):
        name = manifest.label.folder + manifest.member(member).volumes[0].name
        stored = bytearray(read(repository, name))
        stored[len(stored) // 2] ^= 1
        replace(repository, name, bytes(stored))
    found = _verify(repository, manifest, keys, lambda kind, name: None)
    assert [finding.where for finding in found] == ["dump.pgc.0001", "dump.pgc.0002"]


def test_the_stand_alone_reader_joins_parts_too(
    repository: BackupRepository, manifest: Manifest, keys: NewKeys, tmp_path: Path
) -> None:
    keyfile.create(tmp_path / "working.key", keys.working, title="working")
    for name in names(repository):
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read(repository, name))
    folder = tmp_path / "repository" / manifest.label.folder
    reader = Reader(tmp_path)
    try:
        listed = reader.run("list", folder)
        found = reader.run(folder, "dump.pgc", "--key-file", tmp_path / "working.key")
        assert listed.output.count(b"dump.pgc") == 1
        assert (found.status, found.output) == (0, DATA)
        (folder / manifest.member("dump.pgc.0002").volumes[0].name).unlink()
        refused = reader.run(folder, "dump.pgc", "--key-file", tmp_path / "working.key")
        assert refused.status == 1 and "dump.pgc.0002" in refused.said
    finally:
        reader.close()


def _verify(
    repository: BackupRepository, manifest: Manifest, keys: NewKeys, check: object
) -> tuple[Finding, ...]:
    return verify_backup(
        repository,
        manifest.label,
        VerifyLevel.CONTENT,
        keyring=Keyring.of(keys.working),
        check=check,  # type: ignore[arg-type]
        progress=Silent(),
    ).findings
