"""Detection of a q2 cluster that is stuck although all of its processes live.

q2's idle workers take turns: one holds a lock and reads from a pipe, the others wait for the
lock. If the holder is killed, the lock is never released and no worker ever gets another task
(upstream since 2016). Healthy is: one idle worker sleeps in a pipe. q2 does not tell its workers
from its other processes, so ours give themselves names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
from django_q.models import OrmQ
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from covetbackup.jobs.worker.kernel import name_process

IDLE, BUSY = "covet-idle", "covet-busy"

CHECKS = 3
"""Consecutive ones: a worker that was just given the lock is in neither place for a moment."""


def name_workers() -> None:
    """Let q2's workers show whether they are idle; to be called before the cluster starts."""
    post_spawn.connect(_idle)
    pre_execute.connect(_busy)
    post_execute_in_worker.connect(_idle)


class HangDetector:
    """A detector of stuck clusters, to be called every few seconds."""

    def __init__(self) -> None:
        self._suspicions = 0

    def is_hung(self, sentinel: int) -> bool:
        """Return whether the cluster looked hung in several checks."""
        self._suspicions = self._suspicions + 1 if _looks_hung(sentinel) else 0
        return self._suspicions >= CHECKS


def _looks_hung(sentinel: int) -> bool:
    sleeps = []
    for child in psutil.Process(sentinel).children():
        try:
            if Path(f"/proc/{child.pid}/comm").read_text().strip() == IDLE:
                sleeps.append(Path(f"/proc/{child.pid}/wchan").read_text())
        except OSError:
            continue  # it ended just now
    # "0": this kernel does not say; then `Worker` only checks waiting jobs.
    told = [place for place in sleeps if place != "0"]
    return bool(told) and all("futex" in place for place in told)


# A receiver that raises kills the worker, and its task is repeated for ever. These cannot.
def _idle(**_: Any) -> None:
    name_process(IDLE)


def _busy(task: dict[str, Any], **_: Any) -> None:
    name_process(BUSY)
    try:
        # Acknowledged at once: it must not come back when q2's monitor dies, or after `retry`.
        if task["func"] == "covetbackup.jobs.supervisor.run" and isinstance(task["ack_id"], int):
            OrmQ.objects.filter(pk=task["ack_id"]).delete()
    except Exception:  # see above; an unacknowledged notification comes once more, in vain
        pass
