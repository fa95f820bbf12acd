"""Who may start now, and what the others wait for. Pure: rows in, decisions out.

Limits count running jobs: of all, of one server, of one repository. Jobs are looked at in the
order of the queue; a job that waits for its server does not keep others from starting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlotUse:
    """The slot and the target that a job uses while it runs; "" is none."""

    job_id: int
    server: str = ""
    repository: str = ""
    lock_key: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a job may start; `blocked_by` is "" if it may."""

    job_id: int
    blocked_by: str = ""


def admit(
    waiting: Iterable[SlotUse], running: Iterable[SlotUse], limits: Mapping[str, int]
) -> list[Decision]:
    """Return one decision for each waiting job, in their order.

    Those that may start count as running. A job that is among both has just started: it waits for
    nothing, least of all for itself.
    """
    load, started = _Load(limits), set()
    for slots in running:
        load.add(slots)
        started.add(slots.job_id)
    decisions = []
    for slots in waiting:
        if slots.job_id in started:
            continue
        decision = Decision(slots.job_id, load.blocked_by(slots))
        if not decision.blocked_by:
            load.add(slots)
        decisions.append(decision)
    return decisions


class _Load:
    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._count = 0
        self._servers: Counter[str] = Counter()
        self._repositories: Counter[str] = Counter()
        self._holders: dict[str, int] = {}

    def add(self, slots: SlotUse) -> None:
        self._count += 1
        self._servers[slots.server] += 1
        self._repositories[slots.repository] += 1
        self._holders[slots.lock_key] = slots.job_id

    def blocked_by(self, slots: SlotUse) -> str:
        if slots.lock_key and slots.lock_key in self._holders:
            return f"job {self._holders[slots.lock_key]}, which works on the same target"
        if self._count >= self._limits["all"]:
            return f"a free slot, at most {self._limits['all']} jobs run at once"
        if slots.server and self._servers[slots.server] >= self._limits["server"]:
            return f"its server, which takes at most {self._limits['server']} at once"
        if slots.repository and self._repositories[slots.repository] >= self._limits["repository"]:
            return f"its repository, which takes at most {self._limits['repository']} at once"
        return ""
