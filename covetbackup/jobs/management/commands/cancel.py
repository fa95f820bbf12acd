"""`manage.py cancel JOB`: stop a job. Exit status: 0 it is or will be cancelled, 1 it had ended
or there is no such job."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from covetbackup.audit.log import actor_of, record
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import request_cancel


class Command(BaseCommand):
    help = "Cancel a job: at once if it waits, within ten seconds if it runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("job", type=int)
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *, job: int, json: bool, **_: Any) -> None:
        row = Job.objects.select_related("team").filter(pk=job).first()
        if row is None:
            raise CommandError(f"there is no job {job}")
        if not request_cancel(row, None):
            raise CommandError(f"job {job} has ended already: {row.state}")
        record(actor_of(None), "job.cancel", team=row.team, subject=row)
        row.refresh_from_db()
        self.stdout.write(_as_json(row) if json else _as_text(row))


def _as_json(job: Job) -> str:
    return json.dumps({"id": job.pk, "state": job.state, "cancel_requested": True})


def _as_text(job: Job) -> str:
    return f"job {job.pk} is {'asked to stop' if job.is_active else job.state}"
