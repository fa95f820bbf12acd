"""Who may start now, and what the others wait for. Pure: rows in, verdicts out.

Limits count running jobs: of all, of one server, of one repository. Jobs are looked at in the
order of the queue; a job that waits for its server does not keep others from starting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lanes:
    """What one job takes up while it runs; "" is no lane and no target of its own."""

    job_id: int
    server: str = ""
    repository: str = ""
    lock_key: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`waits_for` is "" for a job that may start now."""

    job_id: int
    waits_for: str = ""


def allot(
    waiting: Iterable[Lanes], running: Iterable[Lanes], limits: Mapping[str, int]
) -> list[Verdict]:
    """One verdict for each waiting job, in their order; those that may start count as running.

    A job that is among both has just started: it waits for nothing, least of all for itself.
    """
    load, started = _Load(limits), set()
    for lanes in running:
        load.add(lanes)
        started.add(lanes.job_id)
    verdicts = []
    for lanes in waiting:
        if lanes.job_id in started:
            continue
        verdict = Verdict(lanes.job_id, load.obstacle(lanes))
        if not verdict.waits_for:
            load.add(lanes)
        verdicts.append(verdict)
    return verdicts


class _Load:
    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._count = 0
        self._servers: Counter[str] = Counter()
        self._repositories: Counter[str] = Counter()
        self._holders: dict[str, int] = {}

    def add(self, lanes: Lanes) -> None:
        self._count += 1
        self._servers[lanes.server] += 1
        self._repositories[lanes.repository] += 1
        self._holders[lanes.lock_key] = lanes.job_id

    def obstacle(self, lanes: Lanes) -> str:
        if lanes.lock_key and lanes.lock_key in self._holders:
            return f"job {self._holders[lanes.lock_key]}, which works on the same target"
        if self._count >= self._limits["all"]:
            return f"a free slot, at most {self._limits['all']} jobs run at once"
        if lanes.server and self._servers[lanes.server] >= self._limits["server"]:
            return f"its server, which takes at most {self._limits['server']} at once"
        if lanes.repository and self._repositories[lanes.repository] >= self._limits["repository"]:
            return f"its repository, which takes at most {self._limits['repository']} at once"
        return ""
