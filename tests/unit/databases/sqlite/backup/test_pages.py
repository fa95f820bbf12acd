"""The page stream over file and log, without SQLite: piece boundaries, gaps, the log's rules."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from covetbackup.core.databases.sqlite.backup.pages import PIECE_BYTES, PageImage, read_pages
from covetbackup.core.databases.sqlite.backup.wal import Overlay, WalState, checksum, read_overlay
from covetbackup.core.errors import DatabaseError, SourceFailed

SALTS = b"saltSALT"
PER_PIECE = PIECE_BYTES // 512


def _page(number: int, version: int = 0) -> bytes:
    start = b"SQLite format 3\0" + struct.pack(">H", 512) if number == 1 else b""
    return (start + struct.pack(">II", number, version)).ljust(512, b".")


def _file(folder: Path, pages: int) -> int:
    (folder / "db").write_bytes(b"".join(map(_page, range(1, pages + 1))))
    return os.open(folder / "db", os.O_RDONLY)


def _log(
    folder: Path, frames: list[tuple[int, int]], *, big_endian: bool = False
) -> tuple[int, WalState]:
    """A log of (page, pages after commit or 0); its version of page n is frame number n's."""
    head = struct.pack(">IIII", 0x377F0682 | big_endian, 3007000, 512, 0) + SALTS
    running = checksum(head, (0, 0), big_endian=big_endian)
    data = head + struct.pack(">II", *running)
    for number, (page, commit) in enumerate(frames, start=1):
        start, body = struct.pack(">II", page, commit), _page(page, number)
        running = checksum(start + body, running, big_endian=big_endian)
        data += start + SALTS + struct.pack(">II", *running) + body
    (folder / "wal").write_bytes(data)
    state = WalState(len(frames), frames[-1][1], SALTS, running, complete=False)
    return os.open(folder / "wal", os.O_RDONLY), state


def test_the_checksum_is_that_of_the_documented_recurrence() -> None:
    words = (1, 2, 0xFFFFFFFF, 4)
    first = second = 0
    for even, odd in (words[:2], words[2:]):
        first = (first + even + second) % 2**32
        second = (second + odd + first) % 2**32
    for order, big in ((">4I", True), ("<4I", False)):
        assert checksum(struct.pack(order, *words), (0, 0), big_endian=big) == (first, second)


@pytest.mark.parametrize("pages", [1, PER_PIECE - 1, PER_PIECE, PER_PIECE + 1, 2 * PER_PIECE + 7])
def test_pages_come_in_order_whatever_the_number(tmp_path: Path, pages: int) -> None:
    descriptor = _file(tmp_path, pages)
    changed = {1, 2, PER_PIECE, PER_PIECE + 1, pages} & set(range(1, pages + 1))
    log, state = _log(tmp_path, [(page, pages) for page in sorted(changed)])
    image = PageImage(descriptor, 512, pages, pages * 512, read_overlay(log, 512, state))
    versions = {page: number for number, page in enumerate(sorted(changed), start=1)}
    expected = b"".join(_page(n, versions.get(n, 0)) for n in range(1, pages + 1))
    assert b"".join(read_pages(image)) == expected
    os.close(descriptor)
    os.close(log)


def test_the_last_version_of_a_page_wins_and_pages_past_the_end_are_left_out(
    tmp_path: Path,
) -> None:
    log, state = _log(tmp_path, [(2, 0), (9, 9), (2, 3)])
    overlay = read_overlay(log, 512, state)
    assert overlay.offsets == {2: 32 + 2 * 536 + 24}
    os.close(log)


def test_pages_never_written_are_zeros(tmp_path: Path) -> None:
    descriptor = _file(tmp_path, 2)
    data = b"".join(read_pages(PageImage(descriptor, 512, 4, 2 * 512)))
    assert data == _page(1) + _page(2) + bytes(1024)
    os.close(descriptor)


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    descriptor = _file(tmp_path, 4)
    with pytest.raises(SourceFailed, match="ended at byte 2048"):
        list(read_pages(PageImage(descriptor, 512, 5, 5 * 512)))
    os.close(descriptor)


def test_a_first_page_of_another_size_is_an_error(tmp_path: Path) -> None:
    descriptor = _file(tmp_path, 4)
    with pytest.raises(DatabaseError, match="page 1"):
        list(read_pages(PageImage(descriptor, 1024, 2, 2048)))
    os.close(descriptor)


def test_a_log_of_the_other_byte_order_is_read(tmp_path: Path) -> None:
    log, state = _log(tmp_path, [(1, 0), (2, 2)], big_endian=sys.byteorder == "little")
    assert set(read_overlay(log, 512, state).offsets) == {1, 2}
    os.close(log)


def test_any_flipped_byte_of_the_log_is_found(tmp_path: Path) -> None:
    log, state = _log(tmp_path, [(1, 0), (2, 2)])
    whole = (tmp_path / "wal").read_bytes()
    meaningless = range(4, 8)  # the version, which is inside the checksum all the same
    for place in [*range(0, 64), *meaningless, *range(64, len(whole), 37), len(whole) - 1]:
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        (tmp_path / "wal").write_bytes(damaged)
        with pytest.raises(SourceFailed):
            read_overlay(log, 512, state)
    os.close(log)


@pytest.mark.parametrize("missing", [1, 512, 536, 1072, 1104])
def test_a_cut_log_is_an_error(tmp_path: Path, missing: int) -> None:
    log, state = _log(tmp_path, [(1, 0), (2, 2)])
    os.truncate(tmp_path / "wal", 1104 - missing)
    with pytest.raises(SourceFailed):
        read_overlay(log, 512, state)
    os.close(log)


def test_an_empty_overlay_changes_nothing(tmp_path: Path) -> None:
    descriptor = _file(tmp_path, 3)
    image = PageImage(descriptor, 512, 3, 3 * 512, Overlay(-1, {}))
    assert b"".join(read_pages(image)) == (tmp_path / "db").read_bytes()
    os.close(descriptor)
