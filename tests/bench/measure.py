"""Runs one thing in a process of its own and tells how long it took and what memory it had."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covetbackup.core.manager import create_repository

_MEMORY_DISK = Path("/dev/shm")

Arguments = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Size:
    """`quick`: small data, one round. `huge`: also what takes minutes and gigabytes."""

    quick: bool
    huge: bool

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3


@dataclass(frozen=True, slots=True)
class Run:
    """`cpu_seconds` are those of the client's processes, without a database server's. `facts` is
    what else the job had to say; `peak_mib` is 0 where it was not measured."""

    seconds: float
    cpu_seconds: float
    peak_mib: float = 0.0
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians of alternating rounds: ours, and what a shell does."""

    ours: Run
    theirs: Run

    @property
    def speed(self) -> float:
        """How many times as fast as the shell we are."""
        return self.theirs.seconds / self.ours.seconds

    @property
    def cpu(self) -> float:
        """How many times as much processor time the shell takes; a busy machine changes it less."""
        return self.theirs.cpu_seconds / self.ours.cpu_seconds


@contextmanager
def work_folder(size: int) -> Iterator[Path]:
    """An empty folder with room for `size` bytes, in memory if possible: no disk is that even."""
    roomy = _MEMORY_DISK.is_dir() and shutil.disk_usage(_MEMORY_DISK).free > 2 * size
    with tempfile.TemporaryDirectory(
        prefix="covet-bench-", dir=_MEMORY_DISK if roomy else None
    ) as folder:
        yield Path(folder)


def new_repository(folder: Path) -> str:
    """The URL of an empty local repository."""
    create_repository(folder.as_uri())
    return folder.as_uri()


def alternate(rounds: int, ours: Callable[[], Run], theirs: Callable[[], Run]) -> Pair:
    """Both in turns, so that a neighbour's noise meets both."""
    own, other = [], []
    for _ in range(rounds):
        own.append(ours())
        other.append(theirs())
    return Pair(_median(own), _median(other))


def _median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median_low(run.seconds for run in runs),
        statistics.median_low(run.cpu_seconds for run in runs),
        max(run.peak_mib for run in runs),
        runs[-1].facts,
    )


def own_job(name: str, **settings: Any) -> Run:
    """Run the job `name` of `tests.bench.jobs` in a fresh interpreter.

    Seconds are those of the job alone, without starting Python: the engine lives in a worker that
    is already there. A process of its own, because memory once used is never given back.
    """
    order = json.dumps({"job": name, "settings": settings}, default=str)
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.jobs"],
        input=order.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return Run(**json.loads(finished.stdout))


def shell_job(
    *commands: Arguments, output: Path | None = None, env: Mapping[str, str] | None = None
) -> Run:
    """Run `commands` as one pipeline, the last one's output going to the file `output`."""
    if output is not None:
        output.unlink(missing_ok=True)  # truncating the one of the last round takes its time too
    began, cpu_before = time.perf_counter(), _cpu_of_children()
    _pipeline(*commands, output=output, env=env)
    return Run(time.perf_counter() - began, _cpu_of_children() - cpu_before)


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _pipeline(
    *commands: Arguments, output: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    with ExitStack() as stack:
        end = stack.enter_context(open(output or "/dev/null", "wb"))
        running: list[subprocess.Popen[bytes]] = []
        for command in commands:
            is_last = len(running) == len(commands) - 1
            before = running[-1].stdout if running else subprocess.DEVNULL
            process = subprocess.Popen(
                command, stdin=before, stdout=end if is_last else subprocess.PIPE, env=env
            )
            running.append(stack.enter_context(process))
            if not isinstance(before, int) and before is not None:
                before.close()  # else a program would not notice that its reader has gone
    failed = [process.args for process in running if process.returncode]
    if failed:
        raise RuntimeError(f"failed: {failed}")
