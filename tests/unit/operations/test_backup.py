"""Taking a backup: all of it in every copy, or no trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from covetbackup.core.crypto.keyring import Keyring, new_keys
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import (
    BadSetting,
    Cancelled,
    Conflict,
    Incomplete,
    SourceFailed,
    StorageFull,
)
from covetbackup.core.operations.backup import BackupRequest
from covetbackup.core.operations.delete import cleanup_repository
from covetbackup.core.operations.restore import restore_backup
from covetbackup.core.progress import Silent
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.local import LocalStorage
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.codec import CodecSpec
from tests.support.doubles import (
    NOW,
    MemoryEngine,
    make_backup,
    make_keys,
    make_repository,
    names,
    read,
    replace,
    sample_bytes,
)

DATA = {"dump.bin": sample_bytes(3_000_000)}


class FullDisk(MemoryStorage):
    """A storage whose sinks for `name` fail after their first bytes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def create(self, name: str) -> Sink:
        sink = super().create(name)
        return _Failing(sink) if self.name in name else sink


class _Failing:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, chunk: bytes) -> None:
        raise StorageFull("no room is left in the repository", "remove something")

    def commit(self) -> None:
        raise AssertionError("nothing was written")

    def abort(self) -> None:
        self._sink.abort()


class CancelAfter(Silent):
    def __init__(self, pieces: int) -> None:
        self._left = pieces

    def advance(self, count: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise Cancelled


def traces(repository: BackupRepository) -> list[str]:
    """Everything that belongs to a backup, unfinished uploads included."""
    unfinished = repository.storage.cleanup(NOW + timedelta(days=40_000))
    return names(repository, "b/") + names(repository, "keys-mirror/") + unfinished


def test_a_dump_that_dies_leaves_no_trace_in_any_copy() -> None:
    _, keyring = make_keys()
    copies = [make_repository("one"), make_repository("two")]

    with pytest.raises(SourceFailed):
        make_backup(copies, MemoryEngine(DATA, dies_after=2_900_000), keyring)

    assert [traces(copy) for copy in copies] == [[], []]


@pytest.mark.parametrize("where", ["dump.bin.zst", ".index", "keys.0", "keys-mirror", "manifest"])
def test_a_storage_that_fails_leaves_no_trace(where: str) -> None:
    _, keyring = make_keys()
    repository = make_repository(storage=FullDisk(where))

    with pytest.raises(StorageFull):
        make_backup(repository, DATA, keyring)

    assert traces(repository) == []


@pytest.mark.parametrize("where", ["dump.bin.zst", "globals", "keys.0", "manifest"])
def test_a_copy_that_fails_drops_out_and_the_others_hold_the_whole(where: str) -> None:
    _, keyring = make_keys()
    bad, good = make_repository("bad", FullDisk(where)), make_repository("good")

    result = make_backup([bad, good], {**DATA, "globals.sql": b"roles"}, keyring)

    assert result.stored_in == ("good",)
    assert list(result.failures) == ["bad"]
    assert traces(bad) == []
    assert [str(entry.label) for entry in good.backups()] == [str(result.manifest.label)]


def test_one_repository_under_two_names_is_refused_before_anything_is_written() -> None:
    repository, engine = make_repository("one"), MemoryEngine(DATA)
    again = BackupRepository.open(repository.storage, name="again")

    with pytest.raises(BadSetting, match="one and again are the same"):
        make_backup([repository, again], engine, make_keys()[1])

    assert engine.opened == 0
    assert traces(repository) == []


class RaisesAtCreate(MemoryStorage):
    """A storage that raises `error` when an object called `name` is begun."""

    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__()
        self.name, self._error = name, error

    def create(self, name: str) -> Sink:
        if self.name in name:
            raise self._error
        return super().create(name)


def test_a_disk_that_is_unmounted_meanwhile_drops_out_and_the_others_go_on() -> None:
    unmounted = RaisesAtCreate("index", BadSetting("there is no covet.json"))
    bad, good = make_repository("bad", unmounted), make_repository("good")

    result = make_backup([bad, good], DATA, make_keys()[1])

    assert (result.stored_in, list(result.failures)) == (("good",), ["bad"])
    assert len(list(good.backups())) == 1


@pytest.mark.parametrize("name", ["dump.bin.zst", "index", "keys.0", "manifest"])
def test_cancel_while_a_copy_is_being_reached_leaves_no_trace_in_the_others(name: str) -> None:
    quick = make_repository("quick")
    slow = make_repository("slow", RaisesAtCreate(name, Cancelled()))

    with pytest.raises(Cancelled):
        make_backup([quick, slow], DATA, make_keys()[1])

    assert traces(quick) == traces(slow) == []


@pytest.mark.parametrize("after", [0, 1, 17])
def test_cancel_leaves_no_trace(after: int) -> None:
    _, keyring = make_keys()
    repository = make_repository()

    with pytest.raises(Cancelled):
        make_backup(repository, DATA, keyring, progress=CancelAfter(after))

    assert traces(repository) == []


def test_an_empty_dump_is_no_backup() -> None:
    _, keyring = make_keys()
    repository = make_repository()

    with pytest.raises(Incomplete, match="empty"):
        make_backup(repository, {"dump.bin": b""}, keyring)

    assert traces(repository) == []


def test_without_a_usable_key_the_source_is_not_touched() -> None:
    repository, engine = make_repository(), MemoryEngine(DATA)

    with pytest.raises(BadSetting):
        make_backup(repository, engine, Keyring())

    assert engine.opened == 0
    assert traces(repository) == []


@pytest.mark.parametrize("wrong", [{"volume_size": 0}, {"volume_size": -5}, {"workers": -1}])
def test_numbers_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadSetting):
        BackupRequest("shop", "shop", "here", CodecSpec.parse("none"), None, **wrong)


def test_one_key_is_not_enough_unless_asked_for() -> None:
    keyring = Keyring.of(new_keys().working[:1])

    with pytest.raises(BadSetting, match="recovery|2|two"):
        make_backup(make_repository(), DATA, keyring)


def test_a_backup_names_the_one_before_it() -> None:
    _, keyring = make_keys()
    repository = make_repository()

    first = make_backup(repository, DATA, keyring).manifest
    later = make_backup(repository, DATA, keyring, started_at=NOW + timedelta(hours=1)).manifest

    assert (first.sequence, first.previous) == (1, "")
    assert later.sequence == 2
    assert len(later.previous) == 64


def test_backups_of_the_same_second_are_counted_too() -> None:
    _, keyring = make_keys()
    repository = make_repository()

    sequences = [make_backup(repository, DATA, keyring).manifest.sequence for _ in range(5)]

    assert sequences == [1, 2, 3, 4, 5]


def test_a_damaged_older_manifest_does_not_stop_new_backups() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    first = make_backup(repository, DATA, keyring).manifest
    damaged = make_backup(repository, DATA, keyring, started_at=NOW + timedelta(hours=1)).manifest
    replace(repository, damaged.label.manifest, b"{}")

    made = make_backup(repository, DATA, keyring, started_at=NOW + timedelta(hours=2)).manifest

    assert made.sequence == 3
    assert made.previous == sha256(read(repository, first.label.manifest)).hexdigest()


def test_every_byte_of_an_encrypted_backup_hides_the_data() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    secret = b"canary-in-the-coal-mine"
    engine = MemoryEngine({"dump.bin": secret * 1000})

    make_backup(repository, engine, keyring, codec="none", suite=Suite.AES_256_CBC_HMAC_SHA256)

    for found in repository.storage.list():
        with repository.storage.open(found.name) as chunks:
            assert secret not in b"".join(chunks)


KILLED = """
import os, sys
from pathlib import Path
from covetbackup.core.progress import Silent
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.local import LocalStorage
from tests.support.doubles import make_backup, make_keys, sample_bytes

class SayAndGoOn(Silent):
    def advance(self, count):
        print("moving", flush=True)

repository = BackupRepository.open(LocalStorage(Path(sys.argv[1])), name="local")
data = {f"part{n}.bin": sample_bytes(4_000_000) for n in range(200)}
make_backup(repository, data, make_keys()[1], progress=SayAndGoOn(), volume_size=1_000_000)
"""


def test_kill_9_leaves_nothing_that_looks_restorable_and_a_sweep_removes_the_rest(
    tmp_path: Path,
) -> None:
    make_repository(storage=LocalStorage(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    with process, process.stdout as lines:
        for _ in range(120):
            assert lines.readline() == b"moving\n"
        process.send_signal(signal.SIGKILL)
    repository = BackupRepository.open(LocalStorage(tmp_path), name="local")

    assert names(repository, "b/")
    assert list(repository.backups()) == []
    cleanup_repository(repository, NOW + timedelta(days=40_000))
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in left} == {"covet.json", "covet_open.py", "RECOVERY.md"}


@pytest.mark.parametrize("streams", [1, 3])
def test_members_of_a_group_are_stored_at_once_and_restored_alike(streams: int) -> None:
    keys, keyring = make_keys()
    first, second = make_repository("first"), make_repository("second")
    members = {f"part-{n}": sample_bytes(300_000 * n, n) for n in range(1, 8)}
    taken = make_backup([first, second], members, keyring, streams=streams)
    assert [member.name for member in taken.manifest.members] == list(members)
    engine = MemoryEngine()
    request = RestoreRequest("anywhere", jobs=streams)
    restore_backup(
        second, taken.manifest.label, engine, request, keyring=keyring, progress=Silent()
    )
    assert engine.restored == members


def test_a_copy_that_fails_in_one_of_many_streams_drops_out_of_all() -> None:
    _, keyring = make_keys()
    broken = make_repository("broken", FullDisk("part-3"))
    whole = make_repository("whole")
    members = {f"part-{n}": sample_bytes(50_000, n) for n in range(1, 8)}
    taken = make_backup([broken, whole], members, keyring, streams=4)
    assert taken.stored_in == ("whole",)
    assert names(broken, "b/") == []


def test_a_producer_that_dies_in_one_of_many_streams_leaves_nothing() -> None:
    _, keyring = make_keys()
    repository = make_repository()
    members = {f"part-{n}": sample_bytes(500_000, n) for n in range(1, 8)}
    with pytest.raises(SourceFailed):
        make_backup(repository, MemoryEngine(members, dies_after=200_000), keyring, streams=4)
    assert names(repository, "b/") == []


def test_what_is_called_before_publishing_can_prevent_it() -> None:
    _, keyring = make_keys()
    repository = make_repository()

    def refuse() -> None:
        assert list(repository.backups()) == []
        raise Conflict("not now")

    with pytest.raises(Conflict, match="not now"):
        make_backup(repository, {"a": b"1"}, keyring, before_publish=refuse)
    assert names(repository, "b/") == []
