"""The command `covetbackup cancel JOB`: cancel a job."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import request_cancel
from covetbackup.manual_command import ManualCommand


class Command(ManualCommand):
    manual = Manual(
        "cancel a job",
        "A waiting job is cancelled at once, a running one within ten seconds.",
        "covetbackup cancel 42",
    )
    exits = {0: "it is cancelled or being cancelled", 1: "it had ended, or there is no such job"}

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("job", type=int, help="its number")

    def handle(self, *, job: int, json: bool, **_: Any) -> None:
        row = Job.objects.select_related("team").filter(pk=job).first()
        if row is None:
            raise CommandError(f"there is no job {job}")
        if not request_cancel(row, None):
            raise CommandError(f"job {job} has ended already: {row.state}")
        record(actor_of(None), "job.cancel", team=row.team, subject=row)
        row.refresh_from_db()
        data = {"id": row.pk, "state": row.state, "cancel_requested": True}
        state = "being cancelled" if row.is_active else row.state
        self.print_report(Report(data, [f"job {row.pk} is {state}"]), as_json=json)
