"""What only a local directory can get wrong: mounts, links, rights, full disks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    UploadLost,
)
from covetbackup.core.storage.base import MARKER, Storage
from covetbackup.core.storage.local import LocalStorage
from covetbackup.core.stream.pump import pump


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """A local storage with its marker."""
    storage = LocalStorage(root)
    put(storage, MARKER, b"{}")
    return storage


def put(storage: Storage, name: str, data: bytes) -> None:
    sink = storage.create(name)
    sink.write(data)
    sink.commit()


def get(storage: Storage, name: str) -> bytes:
    with storage.open(name) as chunks:
        return b"".join(chunks)


@contextmanager
def source(data: bytes) -> Iterator[Iterator[bytes]]:
    yield iter([data])


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_an_unmounted_path_is_not_written_into(storage: LocalStorage, root: Path) -> None:
    put(storage, "a/object", b"x")
    mounted = root.rename(root.with_name("elsewhere"))
    root.mkdir()
    with pytest.raises(BadSetting, match=r"no covet\.json") as caught:
        storage.create("a/other")
    assert "mounted" in caught.value.hint
    assert files(root) == []
    root.rmdir()
    with pytest.raises(BadSetting):
        storage.create("a/other")
    with pytest.raises(ObjectNotFound) as missing:
        list(storage.list())
    assert "mounted" in missing.value.hint
    assert not root.exists()
    assert files(mounted) == ["a", "a/object", MARKER]


def test_only_the_owner_can_read(storage: LocalStorage, root: Path) -> None:
    put(storage, "a/b/object", b"x")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert modes == {
        "repository": 0o700,
        "a": 0o700,
        "b": 0o700,
        "object": 0o600,
        MARKER: 0o600,
    }


def test_a_planted_link_leads_nowhere(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "way").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    for name in ("way/secret", "file"):
        with pytest.raises(AccessRefused):
            get(storage, name)
        with pytest.raises(AccessRefused):
            storage.stat(name)
    with pytest.raises(AccessRefused):
        storage.create("way/new")
    with pytest.raises(AccessRefused):
        storage.delete("way/secret")
    with pytest.raises(ObjectExists):
        storage.create("file")
    storage.cleanup(datetime.now(UTC) + timedelta(days=1))
    assert [info.name for info in storage.list()] == [MARKER]
    assert files(outside) == ["secret"]


def test_a_planted_fifo_does_not_hang_a_reader(storage: LocalStorage, root: Path) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(ObjectNotFound):
        get(storage, "fifo")
    assert [info.name for info in storage.list()] == [MARKER]


def test_the_root_itself_may_be_a_link(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    linked = LocalStorage(link)
    put(linked, "object", b"x")
    linked.create("a/crashed").write(b"x")
    assert linked.cleanup(datetime.now(UTC) + timedelta(days=1)) == ["a/crashed"]
    assert get(storage, "object") == b"x"


def test_foreign_files_are_no_objects(storage: LocalStorage, root: Path) -> None:
    (root / "lost+found").mkdir()
    (root / ".hidden").write_text("x")
    (root / "with space").write_text("x")
    assert [info.name for info in storage.list()] == [MARKER]


def test_empty_directories_go_with_their_last_object(storage: LocalStorage, root: Path) -> None:
    put(storage, "a/b/object", b"x")
    storage.delete("a/b/object")
    sink = storage.create("a/c/object")
    sink.abort()
    assert files(root) == [MARKER]


def test_a_full_disk_leaves_nothing_and_says_what_is_free(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(full.fileno(), data))
        with pytest.raises(StorageFull, match=r"a/object: no space left .* \d+ bytes free"):
            pump(source(b"x"), [], storage.create("a/object"))
    assert files(root) == [MARKER]


def test_a_refused_fsync_leaves_nothing(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        fsync(descriptor)

    sink = storage.create("object")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageFull, match="quota"):
        pump(source(b"x"), [], sink)
    assert files(root) == [MARKER]


_LIMITED = """
import resource, sys
from pathlib import Path
from covetbackup.core.errors import StorageFull
from covetbackup.core.storage.local import LocalStorage
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sink = LocalStorage(Path(sys.argv[1])).create("a/object")
try:
    sink.write(bytes(200_000))
except StorageFull as error:
    sink.abort()
    print(error)
"""


def test_a_file_the_kernel_refuses_to_grow_leaves_nothing(
    storage: LocalStorage, root: Path
) -> None:
    command = [sys.executable, "-c", _LIMITED, str(root)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no room for" in child.stdout
    assert files(root) == [MARKER]


def test_a_real_full_file_system_leaves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_FULL_DISK)
    mount = f"mount -t tmpfs -o size=256k none {tmp_path}/mnt"
    (tmp_path / "mnt").mkdir()
    inner = f"{mount} && exec {sys.executable} {script} {tmp_path}/mnt"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inner]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    child = subprocess.run(command, capture_output=True, text=True)
    if "unshare" in child.stderr or "mount:" in child.stderr:
        pytest.skip("this system allows no private mounts; /dev/full stands in, above")
    assert child.stdout.splitlines() == ["full", "['covet.json']"]


_FULL_DISK = """
import sys, os
sys.path.insert(0, os.getcwd())
from pathlib import Path
from covetbackup.core.errors import StorageFull
from covetbackup.core.storage.local import LocalStorage
root = Path(sys.argv[1])
storage = LocalStorage(root)
sink = storage.create("covet.json")
sink.commit()
sink = storage.create("a/object")
try:
    sink.write(bytes(1_000_000))
except StorageFull:
    sink.abort()
    print("full")
print([str(path.relative_to(root)) for path in root.rglob("*")])
"""


def test_a_directory_that_takes_no_files_is_refused() -> None:
    # sysfs refuses new files even from root, so the kernel's own answer is tested.
    with pytest.raises(AccessRefused, match="permission denied") as caught:
        LocalStorage(Path("/sys/kernel")).create(MARKER)
    assert "writable" in caught.value.hint


@pytest.fixture
def without_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT and some network file systems."""

    def link(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


def test_without_hard_links_nothing_is_overwritten_either(
    storage: LocalStorage, root: Path, without_hard_links: None
) -> None:
    winner, loser = storage.create("object"), storage.create("object")
    winner.write(b"first")
    winner.commit()
    with pytest.raises(ObjectExists):
        loser.commit()
    loser.abort()
    assert get(storage, "object") == b"first"
    assert files(root) == [MARKER, "object"]


def test_without_hard_links_two_commits_take_turns(
    storage: LocalStorage, root: Path, without_hard_links: None
) -> None:
    sink = storage.create("object")
    committing = Thread(target=sink.commit)
    other = os.open(root, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    committing.start()
    committing.join(0.2)
    waited = committing.is_alive()
    os.close(other)
    committing.join()
    assert waited
    assert get(storage, "object") == b""


def test_a_commit_after_sweep_says_the_upload_is_lost(storage: LocalStorage, root: Path) -> None:
    sink = storage.create("a/object")
    storage.cleanup(datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(UploadLost):
        sink.commit()
    sink.abort()
    assert files(root) == [MARKER]


def test_a_commit_that_fails_after_publishing_is_undone(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = storage.create("object")
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(Exception, match="input/output error"):
        pump(source(b"x"), [], sink)
    assert files(root) == [MARKER]
