"""kill -9 of a real worker: no process is left, and no half stream is taken for a whole one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.streams import eventually, is_running, nothing_left

READS = """
from covetbackup.core.stream.process import CommandSource
with CommandSource(["sh", "-c", {script!r}], grace_seconds=0.3) as pieces:
    for piece in pieces:
        pass
"""

WRITES = """
import sys, time
from covetbackup.core.stream.process import CommandSink
sink = CommandSink({argv!r})
sink.write(b"half of a dump")
print("fed", flush=True)
time.sleep(60)
"""

STARTED_BY_A_THREAD = """
import threading, time
from covetbackup.core.stream.process import CommandSink
sinks = []
thread = threading.Thread(target=lambda: sinks.append(CommandSink({argv!r})))
thread.start()
thread.join()
time.sleep(0.5)
sinks[0].write(b"still alive")
sinks[0].commit()
"""

SURVIVED_BY_A_FORK = """
import os, time
from covetbackup.core.stream.process import CommandSink
sink = CommandSink({argv!r})
fork = os.fork()
if fork:
    print(fork, flush=True)
time.sleep(60)
"""

SAVE_AT_THE_END = "import sys; d = sys.stdin.buffer.read(); open(sys.argv[1], 'wb').write(d)"


@pytest.fixture(autouse=True)
def _nothing_left():
    with nothing_left():
        yield


@pytest.fixture
def worker():
    """Starts a worker of the given code; it is gone after the test."""
    started = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def descendants(process: int) -> set[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    children = {int(child) for task in tasks for child in (task / "children").read_text().split()}
    return children.union(*(descendants(child) for child in children))


def listed(path: Path, count: int) -> list[int]:
    assert eventually(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(pid) for pid in path.read_text().split()]


def test_a_killed_worker_leaves_no_source_program_nor_its_descendants(worker, tmp_path):
    pids = tmp_path / "pids"
    script = (
        f"trap '' TERM HUP; echo $$ >> {pids}; sh -c 'echo $$ >> {pids}; sleep 60; :' & "
        f"setsid sh -c 'echo $$ >> {pids}; sleep 60; :' & wait"
    )
    process = worker(READS.format(script=script))
    programs = {*listed(pids, 3), *descendants(process.pid)}
    assert all(is_running(pid) for pid in programs)
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: not any(is_running(pid) for pid in programs))


@pytest.mark.parametrize("attempt", range(5))
def test_a_killed_worker_is_no_end_of_input(worker, tmp_path, attempt):
    saved = tmp_path / "saved"
    process = worker(WRITES.format(argv=[sys.executable, "-c", SAVE_AT_THE_END, str(saved)]))
    assert process.stdout.readline() == "fed\n"
    time.sleep(0.05 * attempt)
    programs = descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: not any(is_running(pid) for pid in programs))
    assert not saved.exists()


def test_a_program_outlives_the_thread_that_started_it(worker, tmp_path):
    saved = tmp_path / "saved"
    argv = [sys.executable, "-c", SAVE_AT_THE_END, str(saved)]
    assert worker(STARTED_BY_A_THREAD.format(argv=argv)).wait(timeout=20) == 0
    assert saved.read_bytes() == b"still alive"


def test_a_fork_of_a_killed_worker_does_not_keep_the_program_alive(worker, tmp_path):
    process = worker(SURVIVED_BY_A_FORK.format(argv=["sleep", "60"]))
    fork = int(process.stdout.readline())
    try:
        programs = descendants(process.pid) - {fork}
        assert programs
        os.kill(process.pid, signal.SIGKILL)
        assert eventually(lambda: not any(is_running(pid) for pid in programs))
        assert is_running(fork)
    finally:
        os.kill(fork, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_ended_by_any_signal_leaves_nothing(worker, tmp_path, number):
    pids = tmp_path / "pids"
    # Started in the background or under nohup, this process ignores some, and so would its child.
    heeds = f"import signal\nsignal.signal({int(number)}, signal.SIG_DFL)\n"
    reads = READS.format(script=f"trap '' TERM INT HUP; echo $$ > {pids}; sleep 60; :")
    process = worker(heeds + reads)
    programs = {*listed(pids, 1), *descendants(process.pid)}
    os.kill(process.pid, number)
    assert eventually(lambda: not any(is_running(pid) for pid in programs), seconds=12)
