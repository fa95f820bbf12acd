"""A process that has Django and a catalog of its own: a test tells it what to do, line by line.

Each line is JSON, `[name of a function, arguments, options]`, and so is each answer.
"""

from __future__ import annotations

import json
import sys
import uuid
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models.functions import Now  # noqa: E402
from django.test import Client  # noqa: E402
from django_q.models import OrmQ  # noqa: E402
from django_q.tasks import async_task  # noqa: E402

from covetbackup.access.models import Membership, Team, User  # noqa: E402
from covetbackup.access.roles import Role  # noqa: E402
from covetbackup.jobs import dispatch, queue  # noqa: E402
from covetbackup.jobs.models import Job, JobEvent, Node  # noqa: E402

COLUMNS = (
    "state", "attempt", "error", "error_code", "hint", "details", "owner_pid", "version", "phase",
    "done_bytes", "total_bytes", "rate", "hook_due_at", "created_at", "started_at", "finished_at",
)  # fmt: skip


def prepare() -> None:
    call_command("migrate", verbosity=0, interactive=False, skip_checks=True)


def clear() -> None:
    for model in (Job, Node, OrmQ):
        model.objects.all().delete()
    Team.objects.get_or_create(name="crew")


def watcher() -> str:
    """The cookie of somebody who may look at the team's jobs."""
    user, _ = User.objects.get_or_create(username="watcher")
    team = Team.objects.get(name="crew")
    Membership.objects.get_or_create(user=user, team=team, role=Role.VIEWER.value)
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].OutputString(attrs=[])


def enqueue(kind: str, argument: dict[str, Any], **options: Any) -> int:
    team = Team.objects.get(name="crew")
    name = options.pop("requested_by", None)
    user = User.objects.get_or_create(username=name)[0] if name else None
    job = queue.enqueue(
        kind, team=team, title=kind, argument=argument, requested_by=user, **options
    )
    return job.pk


def enqueue_and_roll_back(kind: str, argument: dict[str, Any]) -> None:
    with transaction.atomic():
        enqueue(kind, argument)
        transaction.set_rollback(True)


def cancel(job_id: int) -> bool:
    return queue.request_cancel(Job.objects.get(pk=job_id), None)


def job(job_id: int) -> dict[str, Any]:
    row = Job.objects.get(pk=job_id)
    attempts = [list(one) for one in row.attempts.values_list("number", "outcome")]
    return {name: getattr(row, name) for name in COLUMNS} | {"attempts": attempts}


def states() -> dict[str, int]:
    found: dict[str, int] = {}
    for state in Job.objects.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def attempts() -> list[list[Any]]:
    """Of all jobs: job, number, start, end."""
    rows = Job.objects.values_list(
        "pk", "attempts__number", "attempts__started_at", "attempts__finished_at"
    )
    return [list(row) for row in rows]


def events(job_id: int) -> list[list[str]]:
    return [list(row) for row in JobEvent.objects.filter(job=job_id).values_list("kind", "text")]


def nodes() -> list[dict[str, Any]]:
    return [
        {"pid": node.pid, "draining": node.is_draining, "capacity": node.capacity}
        for node in Node.objects.order_by("started_at")
    ]


def add_node() -> str:
    """A worker that is only a row."""
    node = Node.objects.create(
        instance=uuid.uuid4(), host="here", queue="jobs", pid=1, version="1", capacity=4,
        started_at=Now(), heartbeat_at=Now(),
    )  # fmt: skip
    return str(node.pk)


def ring_in_vain(job_id: int, times: int) -> None:
    """Notifications beyond those that the queue sends, as a broker may deliver them."""
    for _ in range(times):
        async_task(
            "covetbackup.jobs.supervisor.run", job_id, cluster="jobs", timeout=-1, save=False
        )


def notifications() -> int:
    return OrmQ.objects.count()


def place(job_id: int) -> list[Any]:
    found = dispatch.queue_position(Job.objects.get(pk=job_id))
    return [found.position, found.blocked_by] if found else []


def serve(functions: dict[str, Any]) -> None:
    for line in sys.stdin:
        name, arguments, options = json.loads(line)
        answer = functions[name](*arguments, **options)
        connection.close()
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    serve(globals())
