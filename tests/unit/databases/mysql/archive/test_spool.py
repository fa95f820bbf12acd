"""Scripts of a restore, which may be larger than memory should hold."""

from __future__ import annotations

import re
import tempfile

import pytest

from covetbackup.core.databases.mysql.archive.spool import Script, Spool, rewritten
from covetbackup.core.databases.mysql.restore.loaders import ScriptSink
from covetbackup.core.errors import Incomplete, StorageFull

_END = b"-- Dump completed on 2026-01-01  1:02:03\n"


@pytest.mark.parametrize("script", [b"", b"aXbXXc", b"X", b"abc" * 1_000_000 + b"X"])
def test_a_script_is_rewritten_as_the_pattern_says(script: bytes) -> None:
    pattern = re.compile(b"(X)")
    found = rewritten(script, pattern, lambda match: match[1] + b"yz")
    assert found[:] == pattern.sub(rb"\1yz", script)


def test_a_script_that_was_rewritten_can_be_again() -> None:
    first = rewritten(b"one two", re.compile(b"one"), lambda match: b"three")
    assert rewritten(first, re.compile(b"two"), lambda match: b"four")[:] == b"three four"


def test_a_script_has_no_largest_size() -> None:
    taken: list[Script] = []
    sink = ScriptSink(taken.append)
    line = b"-- " + b"x" * 1020 + b"\n"
    for _ in range(70):
        sink.write(line * 1024)
    sink.write(_END)
    sink.commit()
    (script,) = taken
    assert len(script) == 70 * 1024 * len(line) + len(_END)
    assert script[:: 1024 * len(line)] == b"-" * 71


@pytest.mark.parametrize("script", [b"", b"CREATE TABLE t (i int);\n"])
def test_a_script_without_its_end_is_not_run(script: bytes) -> None:
    taken: list[Script] = []
    sink = ScriptSink(taken.append)
    sink.write(script)
    with pytest.raises(Incomplete):
        sink.commit()
    assert taken == []


def test_no_room_for_a_script_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "wb")  # noqa: SIM115 - closed by the spool
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    spool = Spool()
    with pytest.raises(StorageFull, match="temporary files"):
        spool.write(b"x" * (1 << 20))
    spool.close()
