"""Programs as sinks: commit, abort, and how they die."""

from __future__ import annotations

import sys
import time

import pytest

from covetbackup.core.errors import Cancelled, SinkFailed, SourceFailed, ToolMissing
from covetbackup.core.stream.process import CommandSink
from covetbackup.core.stream.pump import pump
from covetbackup.core.stream.secret import Secret
from tests.support.streams import eventually, is_running, nothing_left, source_of

SAVE_AT_THE_END = "import sys; d = sys.stdin.buffer.read(); open(sys.argv[1], 'wb').write(d)"


@pytest.fixture(autouse=True)
def _nothing_left():
    with nothing_left():
        yield


def saving_sink(path, **options) -> CommandSink:
    """Like a client that commits at the end of its input."""
    return CommandSink([sys.executable, "-c", SAVE_AT_THE_END, str(path)], **options)


def cancel():
    raise Cancelled


def test_commit_gives_the_program_everything(tmp_path):
    saved = tmp_path / "saved"
    pump(source_of([b"x" * 3_000_000, b"", b"end"]), [], saving_sink(saved))
    assert saved.read_bytes() == b"x" * 3_000_000 + b"end"


def test_abort_never_looks_like_the_end_of_input(tmp_path):
    saved = tmp_path / "saved"
    sink = saving_sink(saved)
    sink.write(b"half a dump")
    time.sleep(0.2)
    sink.abort()
    sink.abort()
    assert not saved.exists()


@pytest.mark.parametrize(
    "error", [SourceFailed("source died"), Cancelled(), OSError("bug")], ids=lambda e: str(type(e))
)
def test_a_source_that_dies_commits_nothing(tmp_path, error):
    saved = tmp_path / "saved"
    with pytest.raises(type(error)):
        pump(source_of([b"half"], then=error), [], saving_sink(saved))
    time.sleep(0.1)
    assert not saved.exists()


def test_a_program_that_fails_at_the_end_fails_the_commit():
    sink = CommandSink(["sh", "-c", "cat > /dev/null; echo no room >&2; exit 2"], name="psql")
    sink.write(b"data")
    with pytest.raises(SinkFailed) as failure:
        sink.commit()
    assert str(failure.value) == "psql ended with status 2: no room"
    sink.abort()


def test_a_program_that_dies_while_fed_fails_the_write_with_its_words():
    sink = CommandSink(["sh", "-c", "read line; echo bad line $line >&2; exit 3"])
    with pytest.raises(SinkFailed) as failure:
        for _ in range(100):
            sink.write(b"hello\n" * 10_000)
    assert "ended with status 3 before the end of its input: bad line hello" in str(failure.value)
    sink.abort()


def test_a_program_that_stops_reading_fails_the_write():
    sink = CommandSink(["sh", "-c", "exec <&-; exec sleep 60"], grace_seconds=0.3)
    with pytest.raises(SinkFailed, match="closed its input before the end"):
        for _ in range(100):
            sink.write(bytes(100_000))
    sink.abort()


def test_a_full_pipe_can_be_cancelled():
    sink = CommandSink(["sleep", "60"], idle=cancel)
    with pytest.raises(Cancelled):
        pump(source_of([bytes(3 << 20)]), [], sink)


def test_a_long_commit_can_be_cancelled():
    sink = CommandSink(["sh", "-c", "cat > /dev/null; exec sleep 60"], idle=cancel)
    with pytest.raises(Cancelled):
        pump(source_of([b"data"]), [], sink)


def test_idle_is_called_about_once_a_second_while_the_commit_waits():
    calls = []
    sink = CommandSink(["sleep", "2.5"], idle=lambda: calls.append(1))
    sink.commit()
    assert 2 <= len(calls) <= 4


def test_abort_kills_a_program_that_ignores_term_and_all_its_children(tmp_path):
    pids = tmp_path / "pids"
    script = f"trap '' TERM; setsid sleep 60 & sleep 60 & echo $$ $! > {pids}; cat > /dev/null"
    sink = CommandSink(["sh", "-c", script], grace_seconds=0.2)
    assert eventually(lambda: pids.exists() and pids.read_text().endswith("\n"))
    sink.abort()
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())


def test_a_program_left_by_a_failed_one_is_ended(tmp_path):
    pid = tmp_path / "pid"
    sink = CommandSink(["sh", "-c", f"sleep 60 & echo $! > {pid}; exit 1"])
    with pytest.raises(SinkFailed):
        sink.commit()
    assert not is_running(int(pid.read_text()))


def test_output_and_messages_are_kept_bounded_and_clean():
    script = "head -c 5000000 /dev/zero; echo; echo OK; echo pass=hunter2 >&2; cat"
    sink = CommandSink(["sh", "-c", script], output_bytes=100, secrets=[Secret("hunter2")])
    sink.write(b"tail")
    sink.commit()
    assert len(sink.output) == 100
    assert sink.output.endswith(b"\nOK\ntail")
    assert sink.messages == "pass=***\n"


def test_a_missing_program_is_named_before_anything_starts():
    with pytest.raises(ToolMissing, match="no-such-restore"):
        CommandSink(["no-such-restore"])
