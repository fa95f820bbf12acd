"""Where the rows that a psql sends end: at a mark, however the pipe cuts it."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.postgresql.backup.psql import until_mark
from covetbackup.core.errors import SourceFailed

MARK = b"0123456789abcdef\n"
ROWS = b"1\tone\n2\ttwo\n" * 9


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", range(1, len(MARK) + 2))
def test_the_rows_end_at_the_mark_however_they_are_cut(size: int) -> None:
    for skipped in range(size):
        rows = ROWS[skipped:]
        assert b"".join(until_mark(iter(cut(rows + MARK, size)), MARK)) == rows


def test_nothing_is_asked_for_after_the_mark() -> None:
    pieces = iter([ROWS, MARK, b"of the next table"])
    assert b"".join(until_mark(pieces, MARK)) == ROWS
    assert next(pieces) == b"of the next table"


def test_a_table_without_rows_gives_none() -> None:
    assert b"".join(until_mark(iter([MARK]), MARK)) == b""


def test_waiting_is_passed_on() -> None:
    assert list(until_mark(iter([b"", ROWS, b"", MARK]), MARK)) == [b"", b"", ROWS, b""]


def test_rows_without_a_mark_are_not_all_rows() -> None:
    with pytest.raises(SourceFailed, match="before its rows did"):
        list(until_mark(iter([ROWS, MARK[:-1]]), MARK))
