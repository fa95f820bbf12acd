"""Supervision of a few programs: restarted when they end, stopped together.

SIGTERM goes to the main process of each only, never to a group (that hangs q2); what is left
after its grace is killed, group and all. Each has a session of its own, so that Ctrl-C reaches
only us, and gets SIGTERM when we are killed. May be the first process of a container.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from covetbackup.jobs.worker import kernel, reaper

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
STEADY_SECONDS = 10.0
"""A program that ran this long had begun well, so what ended it came from outside: it starts again
after the first wait. Longer ones are for those that cannot begin, which end within 3 s."""


@dataclass(slots=True)
class SupervisedProgram:
    """A program that is to run; `grace_seconds` is how long it may take to stop."""

    name: str
    argv: Sequence[str]
    grace_seconds: float
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    wait_seconds: float = FIRST_WAIT_SECONDS

    def keep_running(self) -> None:
        """Start it if it is time; note its end if it has ended."""
        if self.process is None:
            if time.monotonic() >= self.start_at:
                self._start()
        elif self.process.poll() is not None:
            self._note_end(self.process.returncode)

    def _start(self) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.argv,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        log.info("started %s pid=%s", self.name, self.process.pid)

    def _note_end(self, status: int) -> None:
        if time.monotonic() - self.started_at > STEADY_SECONDS:
            self.wait_seconds = FIRST_WAIT_SECONDS
        log.warning(
            "%s ended with status %s; restart in %s s",
            self.name,
            status,
            self.wait_seconds,
        )
        self.process = None
        self.start_at = time.monotonic() + self.wait_seconds
        self.wait_seconds = min(self.wait_seconds * 2, LONGEST_WAIT_SECONDS)


class Children:
    """The supervised programs of one dashboard."""

    def __init__(self, children: Sequence[SupervisedProgram]) -> None:
        self._children = children

    def keep_running(self) -> None:
        """Check each child once, and start it again if it died; called every `POLL_SECONDS`."""
        for child in self._children:
            child.keep_running()
        reaper.reap_children({process.pid for process in self._processes().values()})

    def stop(self) -> None:
        """Stop all children; return when no process of them is left."""
        began = time.monotonic()
        left = self._processes()
        for process in left.values():
            process.send_signal(signal.SIGTERM)
        graces = {child.name: child.grace_seconds for child in self._children}
        while left:
            time.sleep(POLL_SECONDS)
            for name, process in list(left.items()):
                if process.poll() is None and time.monotonic() - began > graces[name]:
                    log.warning("%s did not stop in time", name)
                    reaper.kill_group(process.pid)
                    process.wait()
                if process.returncode is not None:
                    del left[name]
        reaper.kill_all()

    def _processes(self) -> dict[str, subprocess.Popen[bytes]]:
        return {child.name: child.process for child in self._children if child.process is not None}


def _end_with_parent() -> None:
    kernel.get_signal_when_parent_dies(signal.SIGTERM)
