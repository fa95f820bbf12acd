"""Runs one program and ends it, and all that it started, when the worker ends.

A program of its own, started by `process`; it must not import the package. Its arguments:

    python -I -S process_supervisor.py WORKER LINE HOLD ARGV…

WORKER is the worker's process id. LINE is one end of a socket pair: the worker asks on it, the
supervisor reports on it, and its end means that the worker is gone, for whatever reason. HOLD is
the write end of the program's standard input, or -1: while the supervisor has it open, a worker's
death is not an end of input, so the program is killed before it can take half a stream for a whole
one.

Why not PR_SET_PDEATHSIG alone: it watches the *thread* that started the child and reaches no
grandchildren (`pg_restore -j`). It is used for the one thing it does well: when the supervisor
itself is killed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import struct
import sys
from collections.abc import Callable

TERMINATE = b"T"
LET_INPUT_END = b"E"
REPORT = struct.Struct("=i")
"""The program's exit status, or minus the number of the signal that killed it."""

NOT_STARTED = 126

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CHECK_MILLISECONDS = 1000
_GONE = b""
_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def main(worker: int, line: int, hold: int, argv: list[str]) -> None:
    """Start the program and stay until nothing of it is left."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core holds passwords
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphaned grandchildren become ours to end
    wake = _wake_on_child_end()
    program = _Program(_start(argv))
    _discard_standard_streams()
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(line, select.POLLIN)
    while program.has_processes():
        ready = {descriptor for descriptor, _ in poll.poll(_CHECK_MILLISECONDS)}
        if wake in ready:
            os.read(wake, 4096)
        request = _request(line) if line in ready else None
        if request == LET_INPUT_END and hold >= 0:
            os.close(hold)
            hold = -1
        elif request == TERMINATE:
            program.terminate()
        # The parent is looked at too: a fork of the worker would hold the line open.
        if request == _GONE or os.getppid() != worker:
            program.kill()
    try:
        os.write(line, REPORT.pack(program.status))
    except OSError:
        pass  # the worker is gone


def _request(line: int) -> bytes:
    try:
        return os.read(line, 1)
    except OSError:
        return _GONE


class _Program:
    """The program, its group, its descendants, and how it ended."""

    def __init__(self, process: int) -> None:
        self._process = process
        self.status = -int(signal.SIGKILL)

    def has_processes(self) -> bool:
        """Return whether any is left; when the program failed, end what it left behind first."""
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not child:
                return True
            self._note_end(child, status)
            if child == self._process and self.status != 0:
                self.kill()

    def terminate(self) -> None:
        _signal_quietly(os.killpg, self._process, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the group and every descendant; returns when none is left."""
        while True:
            _signal_quietly(os.killpg, self._process, signal.SIGKILL)
            for child in _children():
                _signal_quietly(os.kill, child, signal.SIGKILL)
            try:
                self._note_end(*os.wait())
            except ChildProcessError:
                return

    def _note_end(self, child: int, status: int) -> None:
        if child == self._process:
            self.status = os.waitstatus_to_exitcode(status)


def _start(argv: list[str]) -> int:
    supervisor = os.getpid()
    child = os.fork()
    if child:
        _join_own_group(child)
        return child
    try:
        _join_own_group(0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == supervisor:  # else it died before the line above took effect
            for number in _RESET_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            os.execv(argv[0], argv)
    except OSError as error:
        os.write(2, f"cannot start {argv[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_STARTED)


def _join_own_group(process: int) -> None:
    """Make `process` a group leader: done by parent and child, so that neither runs before it."""
    try:
        os.setpgid(process, 0)
    except OSError:
        pass  # the other was faster, and the program already runs


def _wake_on_child_end() -> int:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reader


def _discard_standard_streams() -> None:
    """Close our copies of the program's pipes: the worker must see the end of them."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listing:
            return [int(child) for child in listing.read().split()]
    except OSError:
        return []  # a kernel without this file: the group has been signalled already


def _signal_quietly(send: Callable[[int, int], None], target: int, number: int) -> None:
    try:
        send(target, number)
    except OSError:
        pass  # gone already, or another user's (set-uid)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


if __name__ == "__main__":
    _line, _hold = int(sys.argv[2]), int(sys.argv[3])
    for _inherited in (_line, _hold):
        if _inherited >= 0:
            os.set_inheritable(_inherited, False)
    main(int(sys.argv[1]), _line, _hold, sys.argv[4:])
