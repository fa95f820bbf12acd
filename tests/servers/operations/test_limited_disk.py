"""File systems that refuse what CIFS, NFS, FAT and FUSE refuse, though every byte is written."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.cli.main import main
from covetbackup.core.databases.sqlite.server.source import is_mount_point
from covetbackup.core.errors import AccessRefused, StorageError, StorageFull
from covetbackup.core.stream import disk

MISSING = ("cannot confirm that data is on disk", "keeps no permissions", "no hard links")
Run = Callable[..., int]


def refusing(number: int) -> Callable[..., Any]:
    def act(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return act


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No fsync of directories, no modes, no hard links, no locks."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "chmod", refusing(errno.EPERM))
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    monkeypatch.setattr(fcntl, "flock", refusing(errno.EBADF))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in this process, with the keys in `tmp_path`."""
    keys = {name: str(tmp_path / f"{name}.key") for name in ("working", "recovery")}
    given = [part for name, path in keys.items() for part in (f"--{name}", path)]
    assert main(["keygen", *given]) == 0

    def run(*arguments: str, keyed: bool = True) -> int:
        key = ["--key-file", keys["working"]] if keyed else []
        return main([*arguments, *key])

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
        connection.execute("INSERT INTO orders (note) VALUES ('one'), ('two')")
    connection.close()
    return path


def rows(path: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT * FROM orders").fetchall()
    connection.close()
    return found


def test_backups_and_restores_work_as_far_as_the_file_system_does(
    limited: None, run: Run, shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    repository, copy = f"file://{tmp_path}/repository", tmp_path / "copy.db"
    assert run("init", repository, keyed=False) == 0
    said = capfd.readouterr().out
    for sentence in MISSING:
        assert f"{sentence}" in said
    assert run("backup", f"sqlite:///{shop}", "--repo", repository) == 0
    assert run("verify", repository, "latest", "--level", "restore") == 0
    assert run("restore", repository, "latest", "--as", f"sqlite:///{copy}") == 0
    told = capfd.readouterr()
    assert f"{tmp_path}: its file system has no hard links" in told.err
    assert rows(copy) == rows(shop)
    assert run("restore", repository, "latest", "--as", f"sqlite:///{copy}") == 7
    assert run("cleanup", f"sqlite:///{tmp_path}", "--older-than", "0.0001", keyed=False) == 0
    assert run("delete", repository, "latest", keyed=False) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"shop.db", "copy.db", "repository", "working.key", "recovery.key"}


def test_a_replacement_without_hard_links_is_refused_before_it_begins(
    limited: None, run: Run, shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    repository, before = f"file://{tmp_path}/repository", shop.read_bytes()
    run("init", repository, keyed=False)
    run("backup", f"sqlite:///{shop}", "--repo", repository)
    assert run("restore", repository, "latest", "--replace", f"sqlite:///{shop}") == 2
    said = capfd.readouterr().err
    assert "has no hard links, without which a database cannot be replaced" in said
    assert "hint: restore under a new name" in said
    assert shop.read_bytes() == before


def test_a_replacement_where_modes_cannot_be_changed_but_need_not_be(
    run: Run, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = f"file://{tmp_path}/repository"
    shop.chmod(0o600)
    run("init", repository, keyed=False)
    run("backup", f"sqlite:///{shop}", "--repo", repository)
    monkeypatch.setattr(os, "chmod", refusing(errno.EPERM))
    assert run("restore", repository, "latest", "--replace", f"sqlite:///{shop}") == 0


def test_a_key_file_is_not_made_where_others_could_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = os.open

    def without_modes(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        return opened(path, flags, 0o755, **options)

    monkeypatch.setattr(os, "open", without_modes)
    working, recovery = tmp_path / "w.key", tmp_path / "r.key"
    assert main(["keygen", "--working", str(working), "--recovery", str(recovery)]) == 2
    said = capfd.readouterr().err
    assert "its file system keeps no permissions" in said
    assert "umask=077" in said
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_leaves_no_key_file_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    given = ["--working", str(tmp_path / "w.key"), "--recovery", str(tmp_path / "r.key")]
    assert main(["keygen", *given]) == 2
    assert "w.key cannot be written: input/output error" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_restored_file_that_is_not_known_to_be_on_disk_is_called_that(
    run: Run,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    repository, copy = f"file://{tmp_path}/repository", tmp_path / "copy.db"
    run("init", repository, keyed=False)
    run("backup", f"sqlite:///{shop}", "--repo", repository)
    monkeypatch.setattr(disk, "sync_folder", refusing(errno.EIO))
    assert run("restore", repository, "latest", "--as", f"sqlite:///{copy}") == 6
    assert f"{copy} is there and whole, but not known to be on disk" in capfd.readouterr().err
    assert rows(copy) == rows(shop)


def test_a_full_temporary_directory_is_no_damage_to_a_backup(
    run: Run,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    repository = f"file://{tmp_path}/repository"
    run("init", repository, keyed=False)
    run("backup", f"sqlite:///{shop}", "--repo", repository)
    usage = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert run("verify", repository, "latest") == 5
    said = capfd.readouterr().err
    assert "4096 bytes free" in said
    assert "TMPDIR" in said


def test_a_file_that_is_a_mount_is_not_replaced(tmp_path: Path) -> None:
    shop = tmp_path / "my shop.db"
    line = "36 35 8:1 / {} rw - ext4 /dev/sda1 rw\n"
    above = line.format("/") + line.format(tmp_path)
    assert not is_mount_point(shop, above)
    assert is_mount_point(shop, above + line.format(str(shop).replace(" ", "\\040")))


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EROFS, AccessRefused), (errno.EIO, StorageError)],
)
def test_what_a_disk_refuses_is_a_sentence_with_the_path(
    tmp_path: Path, number: int, kind: type[StorageError]
) -> None:
    with pytest.raises(kind, match=str(tmp_path)) as caught, disk.translated(tmp_path):
        refusing(number)()
    assert caught.value.hint
