"""Manifests that somebody else wrote: whatever they say, they are refused or can be worked with."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from covetbackup.core.crypto import canonical, subkeys
from covetbackup.core.crypto.dek import new_dek
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.crypto.subkeys import Purpose
from covetbackup.core.errors import ManifestInvalid
from covetbackup.core.operations.verify import VerifyLevel, verify_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository import manifest_json
from tests.support.doubles import make_backup, make_keys, make_repository, read, replace

HOSTILE = [
    *(None, True, 0, -1, 2**53 - 1, "", "x", "../x", "a/b", [], [1], ["x"], [[]], [{}], {}),
    *({"x": 1}, "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"),
]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside: Any = ()
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in inside:
        yield (*above, name)
        yield from places(item, (*above, name))


def changed(document: Any, place: tuple[Any, ...], value: Any) -> bytes:
    """`document` with another value in one place, and a digest that fits."""
    other = copy.deepcopy(document)
    parent = other
    for name in place[:-1]:
        parent = parent[name]
    parent[place[-1]] = value
    other.pop("digest", None)
    return canonical.dump({**other, "digest": manifest_json.document_digest(other)})


def test_no_value_in_any_place_of_a_manifest_is_more_than_a_finding() -> None:
    repository = make_repository()
    label = make_backup(repository, {"dump.bin": b"data"}, Keyring(), suite=None).manifest.label
    document = json.loads(read(repository, label.manifest))

    for place in places(document):
        for value in HOSTILE:
            replace(repository, label.manifest, changed(document, place, value))
            assert len(list(repository.backups())) == 1
            verify_backup(
                *(repository, label, VerifyLevel.CONTENT),
                keyring=Keyring(),
                check=lambda *_: None,
                progress=Silent(),
            )


@pytest.mark.parametrize(
    "packed",
    [b"", b"no zlib stream", zlib.compress(b"{}")[:-1], zlib.compress(b"[]"), zlib.compress(b"{}")],
)
def test_sealed_details_that_no_writer_of_ours_makes_are_refused(packed: bytes) -> None:
    _, keyring = make_keys()
    repository = make_repository()
    manifest = make_backup(repository, {"dump.bin": b"data"}, keyring).manifest
    dek, backup_id = new_dek(), manifest.label.backup_id
    body = {
        **json.loads(read(repository, manifest.label.manifest)),
        "sealed": canonical.encode_bytes(
            subkeys.encrypt_bytes(dek, backup_id, Purpose.SEALED, packed)
        ),
        "signer": "",
        "signature": "",
    }
    proven = {n: v for n, v in body.items() if n not in ("digest", "mac", "signature")}
    tag = subkeys.mac(dek, backup_id, Purpose.MANIFEST, canonical.dump(proven))
    data = changed(body, ("mac",), canonical.encode_bytes(tag))
    decoded = manifest_json.decode(data, manifest.label)

    with pytest.raises(ManifestInvalid):
        manifest_json.unlock(data, decoded, dek)
