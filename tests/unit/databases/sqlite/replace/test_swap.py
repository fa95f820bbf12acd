"""What a replaced SQLite file is known by: never what the next file may have too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from covetbackup.core.databases.sqlite.replace.swap import find_by_identity, identity_of
from covetbackup.core.databases.sqlite.server.file_btime import birth_time

TRIES = 1000


def reborn(path: Path) -> None:
    """Another file in place of `path`, made later, with the same inode number."""
    inode, birth, clock = path.stat().st_ino, birth_time(path), path.with_name("clock")
    assert birth is not None
    while (birth_time(clock) or 0) <= birth:  # the kernel's clock ticks every few milliseconds
        clock.unlink(missing_ok=True)
        clock.touch()
    path.unlink()
    for number in range(TRIES):
        path.with_name(f"stranger-{number}").touch()
        if path.with_name(f"stranger-{number}").stat().st_ino == inode:
            return
    pytest.skip("this file system does not give an inode number out again soon")


def test_a_file_that_got_the_inode_of_one_that_is_gone_is_a_stranger(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.touch()
    identity = identity_of(path)
    assert identity and find_by_identity(tmp_path, identity) == "shop.db"
    reborn(path)
    assert find_by_identity(tmp_path, identity) is None


def test_a_file_stays_the_same_when_it_is_renamed_and_written_to(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.touch()
    identity = identity_of(path)
    path.write_bytes(b"more")
    path.rename(tmp_path / "kept.db")
    os.utime(tmp_path / "kept.db", (0, 0))
    assert identity and find_by_identity(tmp_path, identity) == "kept.db"


def test_where_no_birth_is_known_nothing_is_known(tmp_path: Path) -> None:
    status = Path("/proc/self/status")
    assert birth_time(status) is None and birth_time(tmp_path / "none") is None
    assert identity_of(status) == ""
    assert identity_of(tmp_path / "none") is None
    assert find_by_identity(Path("/proc/self"), "") is None
