"""The stand-alone reader gives back what the engine stored, or fails with a sentence."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core import covet_open
from covetbackup.core.crypto import canonical, kdf, keyfile
from covetbackup.core.crypto.keyring import Keyring, new_keys
from covetbackup.core.crypto.keys import passphrase_key
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import BadSetting
from covetbackup.core.repository.layout import Label
from covetbackup.core.stream.codec import Codec, CodecSpec, compress
from covetbackup.core.stream.frames import FrameIndex
from tests.support.doubles import make_backup, make_repository, names, read, sample_bytes
from tests.support.reader import Reader, Reading

MEMBERS = {"globals.sql": b"CREATE ROLE shop;\n", "dump.pgc": sample_bytes(1_500_000)}
CODECS = {
    "none": 1_200_000,
    "gzip:1": 300_000,
    "bzip2:1": 300_000,
    "lzma:0": 300_000,
    "zstd:1": 300_000,
}
PASSPHRASE = "Größe zählt: correct horse battery"
KDFS = {"argon2id": kdf.Argon2idCost(), "scrypt": kdf.ScryptCost(), "pbkdf2": kdf.Pbkdf2Cost()}


@dataclass(frozen=True)
class Place:
    """A repository on disk, the files that open it, and its backups by suite and codec."""

    root: Path
    keys: Path
    labels: dict[tuple[str, str], Label]

    def folder(self, suite: str, codec: str = "zstd:1") -> Path:
        return self.root / self.labels[suite, codec].folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    keys = new_keys()
    for name, content in (("working", keys.working), ("recovery", keys.recovery)):
        keyfile.create(folder / f"{name}.key", content, title=name)
    keyfile.create(folder / "raw.key", keys.working[:1], title="the raw key alone")
    keyfile.create(folder / "private.key", keys.recovery[:1], title="no signer")
    keyfile.create(folder / "stranger.key", new_keys().working, title="of somebody else")
    (folder / "passphrase").write_text(PASSPHRASE + "\r\n")
    repository = make_repository()  # in memory: a disk would sync every file
    ring, labels = Keyring.of(keys.working), {}
    for suite in (*Suite, None):
        for codec, volume_size in CODECS.items():
            result = make_backup(
                repository, MEMBERS, ring, suite=suite, codec=codec, volume_size=volume_size
            )
            labels[suite or "none", codec] = result.manifest.label
    for name, cost in KDFS.items():
        phrase = Keyring.of([*keys.working[1:], passphrase_key(PASSPHRASE, cost=cost)])
        labels[name, "zstd:1"] = make_backup(repository, MEMBERS, phrase).manifest.label
    for name in names(repository):
        path = folder / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read(repository, name))
    return Place(folder / "repository", folder, labels)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    yield reader
    reader.close()


def copy_of(place: Place, tmp_path: Path, suite: str, codec: str = "zstd:1") -> Path:
    """The folder of one backup, and the mirror of the keys, in a place that may be damaged."""
    mirror = tmp_path / "repository" / "keys-mirror"
    shutil.copytree(place.root / "keys-mirror", mirror, dirs_exist_ok=True)
    here = tmp_path / "repository" / place.labels[suite, codec].folder
    return Path(shutil.copytree(place.folder(suite, codec), here))


def is_right(reading: Reading, member: str = "dump.pgc") -> bool:
    return (reading.status, reading.output) == (0, MEMBERS[member])


def is_refused(reading: Reading) -> bool:
    """A status, a sentence, and never the whole member: its end was held back."""
    whole = reading.output == MEMBERS["dump.pgc"]
    return reading.status == 1 and reading.said.startswith("covet_open: ") and not whole


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("suite", [*Suite, "none"])
def test_every_suite_and_codec_opens_with_either_key_file(
    place: Place, reader: Reader, suite: str, codec: str
) -> None:
    folder = place.folder(suite, codec)
    assert len(list(folder.glob("dump.pgc*.001"))) == 1
    for key in ("working.key", "recovery.key"):
        for member in MEMBERS:
            found = reader.run(folder, member, "--key-file", place.keys / key)
            assert is_right(found, member), found.said
            assert "checked: it is signed by sign-" in found.said


@pytest.mark.parametrize("name", KDFS)
def test_every_key_derivation_opens(place: Place, reader: Reader, name: str) -> None:
    passphrase = ("--passphrase-file", place.keys / "passphrase")
    found = reader.run(place.folder(name), "dump.pgc", *passphrase)
    assert is_right(found), found.said
    assert "NOT checked: who made it" in found.said
    assert "checked: who made it had the secret key or passphrase" in found.said


def test_a_backup_is_found_by_its_label_in_a_repository(place: Place, reader: Reader) -> None:
    label = place.labels["aes-256-gcm", "zstd:1"]
    keys = ("--key-file", place.keys / "raw.key")
    assert is_right(reader.run(place.root, "dump.pgc", "--label", str(label), *keys))


def test_a_folder_downloaded_alone_opens_under_any_name(
    place: Place, reader: Reader, tmp_path: Path
) -> None:
    alone = Path(shutil.copytree(place.folder("aes-256-gcm"), tmp_path / "downloads"))
    assert is_right(reader.run(alone, "dump.pgc", "--key-file", place.keys / "working.key"))


def test_the_mirror_of_the_keys_is_enough(place: Place, reader: Reader, tmp_path: Path) -> None:
    folder, working = copy_of(place, tmp_path, "aes-256-gcm"), place.keys / "working.key"
    (folder / "keys.000001.json").unlink()
    assert is_right(reader.run(folder, "dump.pgc", "--key-file", working))
    alone = Path(shutil.copytree(folder, tmp_path / "alone"))
    assert is_refused(reader.run(alone, "dump.pgc", "--key-file", working))
    backup_id = place.labels["aes-256-gcm", "zstd:1"].backup_id.hex()
    shutil.copy(place.root / "keys-mirror" / f"{backup_id}.000001.json", alone)
    assert is_right(reader.run(alone, "dump.pgc", "--key-file", working))


def test_list_shows_every_backup_and_member_and_names_a_damaged_one(
    place: Place, reader: Reader, tmp_path: Path
) -> None:
    listed = reader.run("list", place.root)
    assert listed.status == 0
    assert all(str(label).encode() in listed.output for label in place.labels.values())
    assert listed.output.count(b"dump.pgc") == len(place.labels)
    damaged = copy_of(place, tmp_path, "aes-256-gcm") / "manifest.json"
    copy_of(place, tmp_path, "none")
    flip(damaged, 100)
    again = reader.run("list", tmp_path / "repository")
    assert again.status == 1 and str(damaged) in again.said
    assert again.output.count(b"dump.pgc") == 1


def test_the_program_runs_by_itself(place: Place, tmp_path: Path) -> None:
    program = shutil.copy(covet_open.__file__, tmp_path)
    command = [sys.executable, "-I", "-W", "error", program, place.folder("aes-256-gcm")]
    keys = ["--key-file", place.keys / "working.key"]
    done = subprocess.run([*command, "dump.pgc", *keys], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stdout) == (0, MEMBERS["dump.pgc"])
    reading = subprocess.Popen(
        [*command, "dump.pgc", *keys], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert reading.stdout and reading.stderr
    reading.stdout.close()
    with reading.stderr:
        assert b"FAILED" in reading.stderr.read()
    assert reading.wait() != 0


def test_zstandard_serves_where_no_other_zstd_is(place: Place, tmp_path: Path) -> None:
    reader = Reader(tmp_path, without=["compression.zstd", "backports.zstd"])
    keys = ("--key-file", place.keys / "working.key")
    found = reader.run(place.folder("aes-256-gcm"), "dump.pgc", *keys)
    reader.close()
    assert is_right(found), found.said


def test_without_any_zstd_the_reader_says_what_to_install(place: Place, tmp_path: Path) -> None:
    reader = Reader(tmp_path, without=["compression.zstd", "backports.zstd", "zstandard"])
    keys = ("--key-file", place.keys / "working.key")
    found = reader.run(place.folder("aes-256-gcm"), "dump.pgc", *keys)
    reader.close()
    assert is_refused(found) and "'backports.zstd'" in found.said


@pytest.mark.parametrize("keys", [[], ["stranger.key"]])
def test_without_the_right_key_it_says_which_one_is_needed(
    place: Place, reader: Reader, keys: list[str]
) -> None:
    given = [part for key in keys for part in ("--key-file", place.keys / key)]
    found = reader.run(place.folder("aes-256-gcm"), "dump.pgc", *given)
    assert is_refused(found) and found.output == b""
    assert "raw-" in found.said and "x25519-" in found.said


def test_a_wrong_passphrase_is_refused(place: Place, reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text(PASSPHRASE + "!")
    found = reader.run(place.folder("pbkdf2"), "dump.pgc", "--passphrase-file", tmp_path / "wrong")
    assert is_refused(found) and found.output == b""


@pytest.mark.parametrize(("suite", "key"), [("aes-256-gcm", "private.key"), ("none", "raw.key")])
def test_a_backup_that_anybody_may_have_made_needs_a_word(
    place: Place, reader: Reader, suite: str, key: str
) -> None:
    given = (place.folder(suite), "dump.pgc", "--key-file", place.keys / key)
    refused = reader.run(*given)
    assert is_refused(refused) and "its maker is not proven" in refused.said
    accepted = reader.run(*given, "--trust-any")
    assert is_right(accepted) and "NOT checked: who made it" in accepted.said


def test_an_unknown_member_is_answered_with_those_there_are(place: Place, reader: Reader) -> None:
    keys = ("--key-file", place.keys / "working.key")
    found = reader.run(place.folder("aes-256-gcm"), "dump", *keys)
    assert is_refused(found) and "dump.pgc, globals.sql" in found.said


@pytest.mark.parametrize("codec", ["none", "zstd:1"])
@pytest.mark.parametrize("suite", [*Suite, "none"])
def test_a_flipped_bit_anywhere_is_refused(
    place: Place, reader: Reader, tmp_path: Path, suite: str, codec: str
) -> None:
    folder, rng = copy_of(place, tmp_path, suite, codec), random.Random(f"{suite} {codec}")
    for path in [folder / "manifest.json", *volumes(folder)]:
        size = path.stat().st_size
        for at in {0, 9, 20, 70, size - 1, size - 40, *(rng.randrange(size) for _ in range(6))}:
            flip(path, at)
            assert is_refused(run(reader, folder, place)), (path.name, at)
            flip(path, at)
    assert is_right(run(reader, folder, place))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("suite", ["aes-256-gcm", "aes-256-cbc-hmac-sha256", "none"])
def test_cut_swapped_missing_and_grown_volumes_are_refused(
    place: Place, reader: Reader, tmp_path: Path, suite: str, codec: str
) -> None:
    folder = copy_of(place, tmp_path, suite, codec)
    first, second = volumes(folder)[:2]
    one, two = first.read_bytes(), second.read_bytes()
    sealed_chunk = (1 << 20) + 16
    cuts = {0, 50, 96, min(96 + sealed_chunk, len(one) - 2), len(one) - 1}
    faults = [
        *((one[:size], two) for size in cuts),
        *((one, two[:size]) for size in (0, len(two) // 2, len(two) - 1)),
        *((two, one), (two, two), (one + two, two), (one, two + b"\0")),
    ]
    for fault in faults:
        first.write_bytes(fault[0])
        second.write_bytes(fault[1])
        assert is_refused(run(reader, folder, place, "--trust-any"))
    first.write_bytes(one)
    second.unlink()
    assert is_refused(run(reader, folder, place, "--trust-any"))


@pytest.mark.parametrize("suite", Suite)
def test_volumes_cannot_be_left_out_or_swapped_even_where_the_manifest_says_so(
    place: Place, suite: str
) -> None:
    backup = covet_open.Backup(place.folder(suite, "none"))
    backup.unlock(covet_open.Keys([str(place.keys / "working.key")], []), trust_any=False)
    one, two = volumes_of(backup.manifest)
    for order in ([one], [two, one], [one, two, two], [two]):
        claimed = [{**volume, "number": 1 << 16 | n} for n, volume in enumerate(order)]
        volumes_of(backup.manifest)[:] = claimed
        with pytest.raises(covet_open.Refused):
            list(backup.packed(backup.manifest["members"][1]))
    volumes_of(backup.manifest)[:] = [one, two]
    assert b"".join(backup.packed(backup.manifest["members"][1])) == MEMBERS["dump.pgc"]


@pytest.mark.parametrize("suite", ["aes-256-gcm", "none"])
@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 99},
        {"codec": "none"},
        {"cipher": "none", "details": {}},
        {"mac": "AAAA"},
        {"signer": "", "signature": ""},
        {"format": "covetbackup-manifest/2"},
    ],
)
def test_an_edited_manifest_is_refused_however_well_it_is_edited(
    place: Place, reader: Reader, tmp_path: Path, suite: str, change: dict[str, Any]
) -> None:
    folder = copy_of(place, tmp_path, suite)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_bytes(with_digest({**manifest, **change}))
    found = run(reader, folder, place)
    assert is_refused(found) and found.output == b""


def test_a_manifest_in_another_backups_folder_is_refused(
    place: Place, reader: Reader, tmp_path: Path
) -> None:
    folder = copy_of(place, tmp_path, "aes-256-gcm")
    shutil.copy(place.folder("aes-256-gcm", "none") / "manifest.json", folder)
    found = run(reader, folder, place)
    assert is_refused(found) and "another backup" in found.said


def test_a_damaged_keys_object_is_replaced_by_its_mirror(
    place: Place, reader: Reader, tmp_path: Path
) -> None:
    folder = copy_of(place, tmp_path, "aes-256-gcm")
    path = folder / "keys.000001.json"
    for at in range(0, path.stat().st_size, 23):
        flip(path, at)
        assert is_right(run(reader, folder, place)), at
        flip(path, at)


@pytest.mark.parametrize("field", ["generation", "backup", "left out", "turned round", "other"])
def test_an_edited_keys_object_is_refused(
    place: Place, reader: Reader, tmp_path: Path, field: str
) -> None:
    folder = copy_of(place, tmp_path, "aes-256-gcm")
    shutil.rmtree(tmp_path / "repository" / "keys-mirror")
    path = folder / "keys.000001.json"
    keys = json.loads(path.read_bytes())
    slots, digests = keys["slots"], keys["digests"]
    changes: dict[str, dict[str, Any]] = {
        "generation": {"generation": 2},
        "backup": {"backup": "00" * 16},
        "left out": {"slots": slots[:1], "digests": digests[:1]},
        "turned round": {"slots": slots[::-1], "digests": digests[::-1]},
        "other": json.loads((place.folder("aes-256-gcm", "none") / path.name).read_bytes()),
    }
    path.write_bytes(canonical.dump({**keys, **changes[field]}))
    found = run(reader, folder, place)
    assert is_refused(found) and found.output == b""


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec is not Codec.NONE])
@pytest.mark.parametrize("zstandard", [False, True])
def test_a_compressed_stream_that_is_cut_anywhere_is_never_taken_for_a_whole_one(
    codec: Codec, zstandard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if zstandard:
        monkeypatch.setitem(sys.modules, "compression.zstd", None)
        monkeypatch.setitem(sys.modules, "backports.zstd", None)
    plain = sample_bytes(600)
    pack = compress(CodecSpec.parse(codec), workers=1, frames=FrameIndex())
    frame = b"".join(pack(iter([plain])))
    assert b"".join(covet_open.decompressed([frame, frame], codec)) == plain * 2
    for size in range(len(frame)):
        with pytest.raises((covet_open.Refused, EOFError)):
            list(covet_open.decompressed([frame[:size]], codec))
        if size:
            with pytest.raises(covet_open.Refused):
                list(covet_open.decompressed([frame, frame[:size]], codec))


@pytest.mark.parametrize(
    "cost",
    [
        {"name": "pbkdf2-hmac-sha256", "iterations": 1},
        {"name": "pbkdf2-hmac-sha256", "iterations": 1 << 40},
        {"name": "scrypt", "log_n": 40, "r": 8, "p": 1},
        {"name": "scrypt", "log_n": 20, "r": 9, "p": 1},
        {"name": "argon2id", "iterations": 3, "memory_kib": 1 << 30, "lanes": 4},
        {"name": "argon2id", "iterations": 3, "memory_kib": 65536},
        {"name": "md5"},
    ],
)
def test_hostile_key_derivations_are_refused_before_any_work(cost: dict[str, Any]) -> None:
    slot = {"kdf": cost, "kdf_salt": canonical.encode_bytes(bytes(16))}
    with pytest.raises((covet_open.Refused, LookupError, ValueError)):
        covet_open.derive(b"words", slot)


def test_key_lines_are_read_as_the_engine_reads_them() -> None:
    for key in (*new_keys().working, *new_keys().recovery):
        line = keyfile.encode(key)
        assert keyfile.decode(line) == key
        prefix, data = covet_open.bech32(line)
        assert line.lower().startswith(prefix) and len(data) == 32
        for at in range(len(line)):
            typo = line[:at] + ("Q" if line[at] != "Q" else "P") + line[at + 1 :]
            with pytest.raises(BadSetting):
                keyfile.decode(typo)
            with pytest.raises(covet_open.Refused):
                covet_open.bech32(typo)


def flip(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def volumes(folder: Path) -> list[Path]:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    return [folder / volume["name"] for volume in volumes_of(manifest)]


def volumes_of(manifest: Any) -> list[Any]:
    found: list[Any] = manifest["members"][1]["volumes"]
    return found


def run(reader: Reader, folder: Path, place: Place, *options: str) -> Reading:
    return reader.run(folder, "dump.pgc", "--key-file", place.keys / "working.key", *options)


def with_digest(manifest: dict[str, Any]) -> bytes:
    """What somebody without any key can make: a manifest that matches its own digest."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return canonical.dump({**rest, "digest": hashlib.sha256(canonical.dump(rest)).hexdigest()})
