"""A worker: one q2 cluster that serves one queue, and what q2 leaves to it.

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
POLL_SECONDS = 0.2
REAP_SECONDS = 1.0
HANG_CHECK_SECONDS = 2.0
HOUR = 3600.0


@dataclass(slots=True)
class PeriodicTask:
    """A periodic task of a worker; `seconds` is the pause between two runs."""

    do: Callable[[], object]
    seconds: float
    due_at: float = 0.0

    def do_if_due(self) -> None:
        """Run the task if it is due."""
        now = time.monotonic()
        if now >= self.due_at:
            self.do()
            self.due_at = time.monotonic() + self.seconds


class Worker:
    """A worker that serves `settings.QUEUE` until SIGTERM, SIGINT, or the end of its cluster."""

    def __init__(self) -> None:
        self._context = WorkerContext(settings.QUEUE)
        self.ticker = Ticker(self._context.place)
        self._hangs = hangs.HangDetector()
        self._hook_thread = threading.Thread()
        self._signal: int | None = None
        self._status: int | None = None
        self.refusal = ""
        self._tasks = [
            PeriodicTask(self._reap_dead, REAP_SECONDS),
            PeriodicTask(self.tick, settings.JOB_SECONDS["tick"]),
            PeriodicTask(self._check_for_hang, HANG_CHECK_SECONDS),
            PeriodicTask(_purge, HOUR),
        ]

    def run(self) -> int:
        """Run the worker; return the exit status, once no process is left.

        Raises `Conflict` if it must not run.
        """
        _load_kinds()
        CURRENT[:] = [self._context]
        self._register()
        self._check_gate()
        kernel.adopt_orphans()
        kernel.make_forks_die_with_their_parent()
        hangs.name_workers()
        connections.close_all()
        self._cluster = Cluster()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)  # q2's own handlers can deadlock
        self._cluster.start()
        log.info("worker serves queue=%s node=%s", self._context.queue, self._context.instance)
        while self._signal is None and self._status is None:
            time.sleep(POLL_SECONDS)
            self._check_cluster()
        self._stop()
        return STOPPED if self._status is None else self._status

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _check_cluster(self) -> None:
        if not self._cluster.sentinel.is_alive():
            log.critical("the cluster of queue %s died", self._context.queue)
            self._status = CLUSTER_DIED
            return
        for task in self._tasks:
            task.do_if_due()

    def _register(self) -> None:
        if connection.vendor == "sqlite":
            others = (
                dispatch.live_nodes()
                .exclude(host=self._context.host)
                .values_list("host", flat=True)
            )
            for host in others[:1]:
                raise Conflict(
                    f"this SQLite catalog is served by {host} already",
                    "several hosts need a PostgreSQL catalog: set DATABASE_URL",
                )
        Node.objects.create(
            instance=self._context.instance,
            host=self._context.host,
            queue=self._context.queue,
            place=self._context.place,
            pid=os.getpid(),
            version=_version(),
            capacity=Conf.WORKERS,
            started_at=Now(),
            heartbeat_at=Now(),
        )

    def tick(self) -> None:
        _logged(self._check_gate)
        # Jobs that a copied catalog calls dead may run: nothing is reaped, requested or cleaned up.
        is_well = not self.refusal and self.ticker.tick()
        try:
            self._heartbeat(is_well)
        except Error as error:
            log.warning("the worker's row is not up to date: %s", described(error))
            connection.close()

    def _check_gate(self) -> None:
        before, self.refusal = self.refusal, gate.refusal()
        if self.refusal != before:
            log.critical("queue %s: %s", self._context.queue, self.refusal or "jobs start again")

    def _heartbeat(self, is_well: bool) -> None:
        ticked = {"ticked_at": Now()} if is_well else {}
        node = Node.objects.filter(pk=self._context.instance)
        node.update(heartbeat_at=Now(), **ticked)
        if self.refusal:
            return
        due = Job.objects.filter(hook_due_at__lte=Now())
        if not self._hook_thread.is_alive() and due.exists():
            # A hook may wait for a storage; the tick may not wait for a hook.
            self._hook_thread = threading.Thread(target=_run_due_hooks, daemon=True)
            self._hook_thread.start()

    def _reap_dead(self) -> None:
        reaper.reap_children({self._cluster.sentinel.pid})
        if not self.refusal:
            self.ticker.reap_here()

    def _check_for_hang(self) -> None:
        if self._hangs.is_hung(self._cluster.sentinel.pid):
            log.critical("the cluster of queue %s is stuck", self._context.queue)
            self._status = CLUSTER_STUCK

    def _stop(self) -> None:
        """Requeue the running jobs and end all processes, killing what does not end in time."""
        deadline = time.monotonic() + STOP_SECONDS
        self._context.drain()
        sentinel = self._cluster.sentinel
        if sentinel.is_alive():
            # It blocks for ever if the sentinel dies at the wrong moment.
            threading.Thread(target=self._cluster.stop_event.set, daemon=True).start()
        _logged(lambda: Node.objects.filter(pk=self._context.instance).update(is_draining=True))
        sentinel.join(max(0.0, deadline - time.monotonic()))
        reaper.kill_all()
        _logged(self._requeue_running)
        log.info("worker stopped queue=%s", self._context.queue)

    def _requeue_running(self) -> None:
        """Requeue the jobs whose supervisors had to be killed; none of their processes is left."""
        jobs = Job.objects.filter(owner=self._context.instance, state=JobState.RUNNING)
        for row in jobs.values_list("pk", "token", "attempt", "max_attempts"):
            queue.requeue(Claim(*row)) or queue.interrupt(Claim(*row), "its worker was stopped")


def _load_kinds() -> None:
    """Import the kinds of work once, as every runner is a fork of this process."""
    for path in {*settings.JOB_KINDS.values(), *settings.JOB_HOOKS.values()}:
        import_string(path)


def _run_due_hooks() -> None:
    try:
        hooks.run_due_hooks()
    except Error as error:
        log.warning("cannot see which hooks are due: %s", described(error))
    finally:
        connections.close_all()  # a thread has connections of its own


def _purge() -> None:
    _logged(purge)


def _logged(step: Callable[[], object]) -> None:
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
