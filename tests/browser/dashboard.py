"""A dashboard of its own for the browser tests: set up and run by its commands, as by an operator.

Nothing of Django is imported here: the tests know the product through HTTP and the command line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A running installation whose first user is "owner"."""

    var: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> dict[str, Any]:
        return manage(self.var, self.port, *arguments)


@contextmanager
def run_dashboard(var: Path) -> Iterator[Dashboard]:
    """Set up in the empty folder `var`, serve on a free port, stop."""
    port = free_port()
    made = manage(var, port, "init")
    log = var / "up.log"
    with open(log, "wb") as sink:
        process = subprocess.Popen(
            _command("up", "--bind", f"127.0.0.1:{port}"),
            cwd=ROOT,
            env=_environment(var, port),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        dashboard = Dashboard(var, port, made["password"])
        _wait_until_it_answers(dashboard, process, log)
        yield dashboard
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def manage(var: Path, port: int, *arguments: str) -> dict[str, Any]:
    """What a command answers in JSON; it must succeed."""
    done = subprocess.run(
        _command(*arguments, "--json"),
        cwd=ROOT,
        env=_environment(var, port),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{arguments[0]}: {done.stderr}{done.stdout}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def _environment(var: Path, port: int) -> dict[str, str]:
    """Only this: other tests set what Django reads in the environment of this process."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(var),
        "COVET_VAR": str(var),
        "COVET_SQLITE_ROOTS": "/",
        "COVET_SITE_URL": f"http://127.0.0.1:{port}",
    }


def _wait_until_it_answers(
    dashboard: Dashboard, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{dashboard.url}/readyz", timeout=2) as answer:
                assert answer.status == 200
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.1)
