"""Programs as sources, and short commands."""

from __future__ import annotations

import sys
import time

import pytest

from covetbackup.core.errors import BadSetting, Cancelled, NoProgress, SourceFailed, ToolMissing
from covetbackup.core.stream.meter import Meter
from covetbackup.core.stream.process import CommandSource, run
from covetbackup.core.stream.pump import pump
from covetbackup.core.stream.secret import Secret, SecretFile
from tests.support.streams import MemorySink, eventually, is_running, nothing_left

PASSWORD = "s3cr&t/ünd 'mehr'"


@pytest.fixture(autouse=True)
def _nothing_left():
    with nothing_left():
        yield


def shell(script: str, **options) -> CommandSource:
    return CommandSource(["sh", "-c", script], **options)


def python(code: str, **options) -> CommandSource:
    return CommandSource([sys.executable, "-c", code], **options)


def read(source: CommandSource) -> bytes:
    with source as pieces:
        return b"".join(pieces)


def test_all_that_a_program_writes_arrives():
    with CommandSource(["head", "-c", "20000000", "/dev/zero"]) as pieces:
        sizes = [len(piece) for piece in pieces]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 1 << 20


def test_silence_of_a_successful_program_is_an_empty_stream():
    assert read(CommandSource(["true"])) == b""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo data; echo no such table >&2; exit 3", "sh ended with status 3: no such table"),
        ("echo data; kill -KILL $$", "sh was killed by SIGKILL"),
        ("echo data; kill -TERM $$", "sh was killed by SIGTERM"),
        ("exec >&-; sleep 0.2; exit 1", "sh ended with status 1"),
    ],
    ids=["status", "kill", "term", "after closing its output"],
)
def test_a_program_that_ends_badly_never_looks_like_a_clean_end(script, reason):
    sink, seen_end = MemorySink(), []

    def watch(chunks):
        yield from chunks
        seen_end.append(True)

    with pytest.raises(SourceFailed) as failure:
        pump(shell(script), [watch], sink)
    assert str(failure.value) == reason
    assert not seen_end
    assert sink.was_aborted and sink.committed is None


def test_a_source_that_dies_after_most_of_its_output_commits_nothing():
    sink = MemorySink()
    with pytest.raises(SourceFailed):
        pump(shell("head -c 3000000 /dev/zero; kill -9 $$"), [], sink)
    assert sink.was_aborted


def test_a_missing_program_is_named():
    with pytest.raises(ToolMissing, match="no-such-dump is not installed"):
        read(CommandSource(["no-such-dump"]))


def test_a_program_that_cannot_be_executed_fails(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(SourceFailed, match="cannot start"):
        read(CommandSource([str(broken)]))


def test_a_zero_byte_in_an_argument_is_refused():
    with pytest.raises(BadSetting, match="zero byte"):
        read(CommandSource(["echo", "a\0b"]))


def test_arguments_arrive_unchanged():
    nasty = ["", "-n", "a b", "'", '"', "$(id)", "`id`", "*", "a\nb", "💾", "--", "\\", "%s"]
    code = "import sys; sys.stdout.write(repr(sys.argv[1:]))"
    assert run([sys.executable, "-c", code, *nasty]).output.decode() == repr(nasty)


def test_the_environment_is_built_from_nothing(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for children")
    output = run(["env"], env={"PGDATABASE": "shop"}).output.decode()
    assert {line.partition("=")[0] for line in output.splitlines()} == {
        "PATH",
        "LANG",
        "PGDATABASE",
    }


def test_a_secret_file_is_private_and_readable_by_the_program_alone():
    file = SecretFile("pgpass", Secret(PASSWORD))
    source = shell('cat "$PGPASSFILE"; stat -Lc %a "$PGPASSFILE"', env={"PGPASSFILE": file})
    assert read(source).decode() == f"{PASSWORD}600\n"


def test_a_secret_file_may_be_part_of_an_argument():
    file = SecretFile("options", Secret("[client]"), prefix="--defaults-extra-file=")
    output = run(["sh", "-c", 'echo "$0"; cat "${0#*=}"', file]).output.decode()
    assert output.startswith("--defaults-extra-file=/proc/self/fd/")
    assert output.endswith("\n[client]")


def test_no_secret_is_in_any_command_line_or_environment():
    file = SecretFile("pgpass", Secret(PASSWORD))
    script = "tr '\\0' ' ' < /proc/$PPID/cmdline; cat /proc/$PPID/environ /proc/self/environ"
    assert PASSWORD.encode() not in read(shell(script, env={"F": file}))


def test_secrets_are_cut_out_of_messages():
    script = f"cat <<'END' >&2\nrefused: {PASSWORD}\nEND\nexit 1"
    source = shell(script, secrets=[Secret(PASSWORD)])
    with pytest.raises(SourceFailed) as failure:
        read(source)
    assert str(failure.value) == "sh ended with status 1: refused: ***"
    assert PASSWORD not in source.messages


def test_a_chatty_program_is_never_held_up_and_its_messages_are_bounded():
    code = (
        "import sys\n"
        "for i in range(100): sys.stderr.write('x' * 99_999 + chr(10))\n"
        "sys.stderr.write('the end'); sys.stdout.write('done')"
    )
    source = python(code, stall_seconds=20)
    assert read(source) == b"done"
    assert len(source.messages) == 64 << 10
    assert source.messages.endswith("the end")


def test_a_silent_program_is_stopped():
    started = time.monotonic()
    with pytest.raises(NoProgress, match="sent nothing for 0.2 seconds"):
        read(shell("echo begin; exec sleep 60", stall_seconds=0.2))
    assert time.monotonic() - started < 3


def test_a_silent_program_that_ignores_term_is_killed_with_its_group(tmp_path):
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $! $$ > {pids}; wait"
    with pytest.raises(NoProgress):
        read(shell(script, stall_seconds=1.5, grace_seconds=0.2))
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())


def test_a_program_that_closes_its_output_and_hangs_is_stopped():
    with pytest.raises(NoProgress):
        read(shell("exec >&-; exec sleep 60", stall_seconds=0.3))


def test_a_slow_consumer_is_no_stall():
    with shell("echo a; sleep 0.3; echo b", stall_seconds=1.0) as pieces:
        got = [next(piece for piece in pieces if piece)]
        time.sleep(1.3)
        got.extend(pieces)
    assert b"".join(got) == b"a\nb\n"


def test_output_of_what_a_program_leaves_behind_is_not_lost():
    assert read(shell("(sleep 0.3; echo late) & echo early")) == b"early\nlate\n"


def test_leaving_early_ends_the_program_and_its_descendants(tmp_path):
    pids = tmp_path / "pids"
    script = f"setsid sleep 60 & sleep 60 & echo $$ $! > {pids}; cat /dev/zero"
    with shell(script) as pieces:
        next(pieces)
    assert not any(is_running(int(pid)) for pid in pids.read_text().split())


def test_an_idle_source_can_be_cancelled():
    class Impatient:
        def advance(self, count):
            if count == 0:
                raise Cancelled

    sink = MemorySink()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        pump(shell("echo begin; exec sleep 60"), [Meter(Impatient())], sink)
    assert time.monotonic() - started < 5
    assert sink.was_aborted


def test_a_broken_sink_ends_the_source():
    sink = MemorySink(fails_after=10, error=OSError("disk"))
    with pytest.raises(OSError, match="disk"):
        pump(shell("cat /dev/zero"), [], sink)
    assert sink.was_aborted


def test_a_failed_command_raises_and_a_good_one_answers():
    assert run(["echo", "15.4"]).output == b"15.4\n"
    with pytest.raises(SourceFailed, match="ended with status 1"):
        run(["false"])
    with pytest.raises(NoProgress):
        run(["sleep", "60"], stall_seconds=0.2)


def test_a_source_can_be_opened_again():
    source = CommandSource(["echo", "again"])
    assert [read(source), read(source)] == [b"again\n", b"again\n"]


def test_an_iterator_kept_after_its_context_reads_nothing():
    with shell("cat /dev/zero") as pieces:
        next(pieces)
    assert list(pieces) == []


def test_a_killed_supervisor_is_a_failure_and_takes_the_program_with_it(tmp_path):
    pid = tmp_path / "pid"
    script = f"echo $$ > {pid}; kill -9 $PPID; exec sleep 60"
    with pytest.raises(SourceFailed, match="killed together with its supervisor"):
        read(shell(script))
    assert eventually(lambda: not is_running(int(pid.read_text())))
