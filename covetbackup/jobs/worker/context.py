"""The context that a worker's processes share: the one piece of shared state there is.

`covetbackup worker` creates it before it forks the cluster; q2's processes inherit it and find it
in `CURRENT`, because q2 calls tasks by name and passes them nothing. The draining flag is one byte
of shared memory: it needs no lock that a killed process could hold for ever, and no catalog.
"""

from __future__ import annotations

import mmap
import os
import socket
import uuid
from pathlib import Path


class WorkerContext:
    """This worker."""

    def __init__(self, queue: str) -> None:
        self.instance = uuid.uuid4()
        self.queue = queue
        self.host = socket.gethostname()
        self.place = place()
        self._flag = mmap.mmap(-1, 1)

    @property
    def is_draining(self) -> bool:
        """Whether the worker stops and takes no more jobs."""
        return self._flag[0] != 0

    def drain(self) -> None:
        self._flag[0] = 1


CURRENT: list[WorkerContext] = []
"""The worker that this process belongs to, or nothing."""


def place() -> str:
    """Return the id of where process ids mean the same: the booted kernel and the pid namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
