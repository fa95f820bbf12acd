"""The periodic work of every worker.

It finds dead owners, notifies of jobs that may start, and runs the periodic work of the apps above
(`settings.JOB_TICKS`). Idempotent, and right with any number of workers doing it at once. Each step
is on its own: one that fails is logged and does not keep the others from being done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from covetbackup.jobs import dispatch, queue
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, described
from covetbackup.jobs.queue import Claim
from covetbackup.jobs.worker import reaper

log = logging.getLogger(__name__)


class Ticker:
    """One worker's tick, which knows since when the catalog has answered without a gap."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._steady_since: float | None = None

    def tick(self) -> bool:
        """Run all steps; return whether all succeeded.

        A failure most often means that the catalog does not answer.
        """
        above = [import_string(path) for path in settings.JOB_TICKS]
        steps: list[Callable[[], object]] = [*above, dispatch.notify, self._reap_when_steady]
        is_well = all([_logged(step) for step in steps])
        if not is_well:
            self._steady_since = None
        elif self._steady_since is None:
            self._steady_since = time.monotonic()
        return is_well

    def reap_here(self) -> bool:
        """Interrupt jobs whose owners ran in this place and whose process is gone."""
        return _logged(lambda: reap_dead_owners(self._place))

    def _reap_when_steady(self) -> None:
        # After an outage owners must have had the time for a heartbeat before they count as dead.
        since, settling = self._steady_since, 2 * settings.JOB_SECONDS["heartbeat"]
        if since is not None and time.monotonic() - since >= settling:
            reap()


def reap() -> int:
    """Interrupt jobs whose lease has run out: their owner cannot be running any more."""
    expired = Q(lease_until__lt=Now())
    reaped = 0
    for claim, _ in _running(expired):
        if queue.interrupt(claim, "its worker stopped sending heartbeats", while_true=expired):
            log.warning("lease ran out job=%s attempt=%s", claim.job_id, claim.attempt)
            reaped += 1
    return reaped


def reap_dead_owners(place: str) -> int:
    """Interrupt jobs that belonged to processes of this place that are gone.

    No process of their runner is left then.
    """
    reaped = 0
    for claim, owner in _running(Q(owner__place=place)):
        if owner is None or reaper.is_running(owner):
            continue
        if reaper.end_runner(claim.token):
            continue  # it is cleaning up; it will be gone at one of the next checks
        if queue.interrupt(claim, "its worker was killed"):
            log.warning("owner is gone job=%s attempt=%s pid=%s", *_shown(claim), owner)
            reaped += 1
    return reaped


def _running(condition: Q) -> list[tuple[Claim, int | None]]:
    rows = Job.objects.filter(condition, state=JobState.RUNNING).values_list(
        "pk", "token", "attempt", "max_attempts", "owner_pid"
    )
    return [(Claim(*claim), owner) for *claim, owner in rows]


def _shown(claim: Claim) -> tuple[int, int]:
    return claim.job_id, claim.attempt


def _logged(step: Callable[[], object]) -> bool:
    try:
        step()
    except AWAY as error:
        log.warning("a step of the tick is postponed: %s", described(error))
        connection.close()
        return False
    except Exception:  # a tick must never end its worker
        log.exception("a step of the tick failed")
        connection.close()
        return False
    return True
