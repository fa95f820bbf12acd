"""A running program seen through its supervisor: readiness, orders, its end. Starts nothing.

Used by one thread at a time. There is no thread that drains diagnostics: every wait in here does,
so a program that prints much is never held up by anything but the stream itself.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence

from covetbackup.core.stream.process_supervisor import LET_INPUT_END, REPORT, TERMINATE
from covetbackup.core.stream.tail import Tail


class Child:
    """A running program: `line` leads to its supervisor, `pipe` is our end of its input or output.

    Owns both and the tails. `reap` waits for the supervisor, which ends right after its report.
    """

    def __init__(
        self, line: socket.socket, tails: Sequence[Tail], *, pipe: int, reap: Callable[[], object]
    ) -> None:
        self._line = line
        self._tails = list(tails)
        self._reap = reap
        self._pipe: int | None = pipe
        self._status: int | None = None
        self.has_finished = False

    def wait_ready(self, descriptor: int, event: int, seconds: float) -> bool:
        """Wait until `descriptor` is ready for `event` (or broken), `seconds` at most."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            poll = select.poll()
            poll.register(descriptor, event)
            for tail in self._tails:
                poll.register(tail.descriptor, select.POLLIN)
            found = {number for number, _ in poll.poll(left * 1000)}
            self._drain(found)
            if descriptor in found:
                return True
            if not left:
                return False

    def wait_ended(self, seconds: float) -> bool:
        """Wait until the program and all it started have ended, `seconds` at most."""
        return self.has_finished or self.wait_ready(self._line.fileno(), select.POLLIN, seconds)

    def close_input(self) -> None:
        """Let the program see the end of its input: the supervisor's copy must go as well."""
        try:
            self._line.send(LET_INPUT_END)
        except OSError:
            pass  # the supervisor is gone; `finish` will tell
        self._close_pipe()

    def stop(self, grace_seconds: float) -> None:
        """End the program: TERM, up to `grace_seconds`, KILL; return when nothing is left.

        Pipes close last, so the program never takes our giving up for the end of its input.
        Idempotent.
        """
        if self.has_finished:
            return
        try:
            self._line.send(TERMINATE)
            if not self.wait_ended(grace_seconds):
                self._line.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the supervisor is gone, and the program with it
        while not self.wait_ended(grace_seconds):
            pass
        self.finish()

    def finish(self) -> int | None:
        """Close everything of the ended program (see `wait_ended`) and return its status.

        That is minus the number of the signal that killed it, or None when even its supervisor was
        killed.
        """
        if not self.has_finished:
            report = self._report()
            self._status = REPORT.unpack(report)[0] if len(report) == REPORT.size else None
            self._reap()
            for tail in self._tails:
                tail.take()
                os.close(tail.descriptor)
            self._tails.clear()
            self._close_pipe()
            self._line.close()
            self.has_finished = True
        return self._status

    def _report(self) -> bytes:
        try:
            return self._line.recv(REPORT.size)
        except OSError:
            return b""

    def _drain(self, found: set[int]) -> None:
        for tail in list(self._tails):
            if tail.descriptor in found and not tail.take():
                os.close(tail.descriptor)
                self._tails.remove(tail)

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def describe_exit(status: int | None) -> str:
    """Return how a program ended, in words, from what `Child.finish` returned."""
    if status is None:
        return "was killed together with its supervisor"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
