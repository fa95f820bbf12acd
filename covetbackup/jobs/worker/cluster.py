"""A worker: one q2 cluster that serves one queue, and what q2 does not do for it.

Signals, draining, the tick, the node's row, dead owners, orphans, and the restart of a cluster
that is stuck. Never signals a q2 process group: that hangs it.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import FrameType

from django.conf import settings
from django.db import Error, connection, connections
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django_q.cluster import Cluster
from django_q.conf import Conf

from covetbackup.core.errors import Conflict
from covetbackup.jobs import dispatch, gate, hooks, queue
from covetbackup.jobs.history import purge
from covetbackup.jobs.models import Job, JobState, Node
from covetbackup.jobs.outage import described
from covetbackup.jobs.queue import Claim
from covetbackup.jobs.tick import Ticker
from covetbackup.jobs.worker import hangs, kernel, reaper
from covetbackup.jobs.worker.context import CURRENT, WorkerContext

log = logging.getLogger(__name__)

STOPPED, CLUSTER_DIED, CLUSTER_STUCK = 0, 70, 75
"""Exit statuses; for the last two `up` starts the worker again."""

STOP_SECONDS = 6.0
LOOK_SECONDS = 0.2
GONE_SECONDS = 1.0
HANG_SECONDS = 2.0
HOUR = 3600.0


@dataclass(slots=True)
class Chore:
    """Something to be done every so many seconds."""

    do: Callable[[], object]
    seconds: float
    due_at: float = 0.0

    def do_if_due(self) -> None:
        """Do the chore if its time has come."""
        now = time.monotonic()
        if now >= self.due_at:
            self.do()
            self.due_at = time.monotonic() + self.seconds


class Worker:
    """Serves `settings.QUEUE` until SIGTERM, SIGINT, or the end of its cluster."""

    def __init__(self) -> None:
        self._here = WorkerContext(settings.QUEUE)
        self.ticker = Ticker(self._here.place)
        self._hangs = hangs.HangDetector()
        self._settling = threading.Thread()
        self._signal: int | None = None
        self._status: int | None = None
        self.refusal = ""
        self._chores = [
            Chore(self._look_for_the_dead, GONE_SECONDS),
            Chore(self.tick, settings.JOB_SECONDS["tick"]),
            Chore(self._look_for_a_hang, HANG_SECONDS),
            Chore(_purge, HOUR),
        ]

    def run(self) -> int:
        """Run the worker; return the exit status, once no process is left.

        Raises `Conflict` if it must not run.
        """
        _load_kinds()
        CURRENT[:] = [self._here]
        self._register()
        self._look_at_the_gate()
        kernel.adopt_orphans()
        kernel.make_forks_die_with_their_parent()
        hangs.name_workers()
        connections.close_all()
        self._cluster = Cluster()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)  # q2's own handlers can deadlock
        self._cluster.start()
        log.info("worker serves queue=%s node=%s", self._here.queue, self._here.instance)
        while self._signal is None and self._status is None:
            time.sleep(LOOK_SECONDS)
            self._look_after()
        self._stop()
        return STOPPED if self._status is None else self._status

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _look_after(self) -> None:
        if not self._cluster.sentinel.is_alive():
            log.critical("the cluster of queue %s died", self._here.queue)
            self._status = CLUSTER_DIED
            return
        for chore in self._chores:
            chore.do_if_due()

    def _register(self) -> None:
        if connection.vendor == "sqlite":
            others = (
                dispatch.live_nodes().exclude(host=self._here.host).values_list("host", flat=True)
            )
            for host in others[:1]:
                raise Conflict(
                    f"this SQLite catalog is served by {host} already",
                    "several hosts need a PostgreSQL catalog: set DATABASE_URL",
                )
        Node.objects.create(
            instance=self._here.instance,
            host=self._here.host,
            queue=self._here.queue,
            place=self._here.place,
            pid=os.getpid(),
            version=_version(),
            capacity=Conf.WORKERS,
            started_at=Now(),
            heartbeat_at=Now(),
        )

    def tick(self) -> None:
        _tried(self._look_at_the_gate)
        # Jobs that a copied catalog calls dead may live: nothing is reaped, asked for or swept.
        is_well = not self.refusal and self.ticker.tick()
        try:
            self._beat(is_well)
        except Error as error:
            log.warning("the worker's row is not up to date: %s", described(error))
            connection.close()

    def _look_at_the_gate(self) -> None:
        before, self.refusal = self.refusal, gate.refusal()
        if self.refusal != before:
            log.critical("queue %s: %s", self._here.queue, self.refusal or "jobs start again")

    def _beat(self, is_well: bool) -> None:
        ticked = {"ticked_at": Now()} if is_well else {}
        node = Node.objects.filter(pk=self._here.instance)
        node.update(heartbeat_at=Now(), **ticked)
        if self.refusal:
            return
        due = Job.objects.filter(hook_due_at__lte=Now())
        if not self._settling.is_alive() and due.exists():
            # A hook may wait for a storage; the tick may not wait for a hook.
            self._settling = threading.Thread(target=_settle, daemon=True)
            self._settling.start()

    def _look_for_the_dead(self) -> None:
        reaper.reap_children({self._cluster.sentinel.pid})
        if not self.refusal:
            self.ticker.reap_here()

    def _look_for_a_hang(self) -> None:
        if self._hangs.is_hung(self._cluster.sentinel.pid):
            log.critical("the cluster of queue %s is stuck", self._here.queue)
            self._status = CLUSTER_STUCK

    def _stop(self) -> None:
        """Jobs go back to the queue, processes end; what does not end in time is killed."""
        deadline = time.monotonic() + STOP_SECONDS
        self._here.drain()
        sentinel = self._cluster.sentinel
        if sentinel.is_alive():
            # It blocks for ever if the sentinel dies at the wrong moment.
            threading.Thread(target=self._cluster.stop_event.set, daemon=True).start()
        _tried(lambda: Node.objects.filter(pk=self._here.instance).update(is_draining=True))
        sentinel.join(max(0.0, deadline - time.monotonic()))
        reaper.kill_all()
        _tried(self._hand_back)
        log.info("worker stopped queue=%s", self._here.queue)

    def _hand_back(self) -> None:
        """Jobs whose supervisor had to be killed; nothing of theirs lives any more."""
        jobs = Job.objects.filter(owner=self._here.instance, state=JobState.RUNNING)
        for row in jobs.values_list("pk", "token", "attempt", "max_attempts"):
            queue.requeue(Claim(*row)) or queue.interrupt(Claim(*row), "its worker was stopped")


def _load_kinds() -> None:
    """Here, once: every runner is a fork of this process. One that is not there raises."""
    for path in {*settings.JOB_KINDS.values(), *settings.JOB_HOOKS.values()}:
        import_string(path)


def _settle() -> None:
    try:
        hooks.run_due_hooks()
    except Error as error:
        log.warning("cannot see which hooks are due: %s", described(error))
    finally:
        connections.close_all()  # a thread has connections of its own


def _purge() -> None:
    _tried(purge)


def _tried(step: Callable[[], object]) -> None:
    try:
        step()
    except Error as error:
        log.warning("%s", described(error))
        connection.close()


def _version() -> str:
    try:
        return metadata.version("covetbackup")
    except metadata.PackageNotFoundError:
        return "source"
