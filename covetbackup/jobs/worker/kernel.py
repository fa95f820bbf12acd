"""Services of Linux for processes that die: see prctl(2)."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None)  # loaded here: not between fork and exec


def get_signal_when_parent_dies(number: signal.Signals) -> None:
    """Request a signal to this process when its parent dies.

    Neither children nor programs that it executes set-uid inherit that.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0)


def name_process(name: str) -> None:
    """Set the name in /proc/…/comm, at most 15 bytes.

    It is lost when the process executes another.
    """
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent dies become children of this process."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def make_forks_die_with_their_parent() -> None:
    """Let every later fork of this process and of its forks die with its parent.

    Programs that they execute do not.
    """
    parent = [0]

    def remember() -> None:
        parent[0] = os.getpid()

    def die_with_it() -> None:
        get_signal_when_parent_dies(signal.SIGKILL)
        if os.getppid() != parent[0]:  # it died before the line above took effect
            os._exit(1)

    os.register_at_fork(before=remember, after_in_child=die_with_it)
