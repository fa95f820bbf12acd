"""Who does the work: the workers that are alive, and queues that nobody serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from backups.models import Server
from covetbackup.access.models import User
from covetbackup.command_line import command
from covetbackup.jobs.dispatch import NODE_IS_FRESH
from covetbackup.jobs.models import ACTIVE_STATES, Job, Node
from covetbackup.system_status.issue import Issue

_REMEMBERED = timedelta(days=1)
_MOST = 50


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker; `state` is the name of a badge."""

    node: Node
    state: str


def workers(now: datetime) -> list[WorkerStatus]:
    """Return the workers of the last day, the most recent first."""
    nodes = Node.objects.filter(heartbeat_at__gt=now - _REMEMBERED).order_by("-heartbeat_at")
    return [WorkerStatus(node, _state(node, now)) for node in nodes[:_MOST]]


def worker_issues(found: list[WorkerStatus], user: User | None = None) -> Iterator[Issue]:
    """Queues in which jobs would wait for ever, of what `user` may see."""
    served = {worker.node.queue for worker in found if worker.state == "alive"}
    seen = Server.objects.visible_to(user) if user else Server.objects.all()
    asked = Job.objects.visible_to(user) if user else Job.objects.all()
    servers = seen.order_by().values_list("queue", flat=True)
    jobs = asked.filter(state__in=ACTIVE_STATES).order_by().values_list("queue", flat=True)
    for queue in sorted({"jobs", *servers.union(jobs)} - served):
        text = f"no worker serves the queue {queue!r}: its jobs do not start"
        words = ("worker",) if queue == "jobs" else ("worker", "--queue", queue)
        yield Issue("bad", text, f"start one: {command(*words)}")


def _state(node: Node, now: datetime) -> str:
    if node.heartbeat_at < now - NODE_IS_FRESH:
        return "silent"
    return "draining" if node.is_draining else "alive"
