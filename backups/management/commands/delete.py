"""The command `covetbackup delete BACKUP --yes`: remove a backup from every repository for good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import add_backup_argument, backup_of
from backups.management.reporting import ReportingCommand, error_of, status_of
from backups.management.waiting import wait_for
from backups.services import request_delete
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import BadSetting


class Command(ReportingCommand):
    manual = Manual(
        "delete a backup with all its copies for good",
        "A pinned backup, or one that is being restored, is not deleted.",
        "covetbackup delete 4f2a9c1e --yes --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_backup_argument(parser)
        parser.add_argument("--yes", action="store_true", help="really: it cannot be undone")
        parser.add_argument("--wait", action="store_true", help="until it is gone")

    def report(self, **options: Any) -> Report:
        backup = backup_of(options)
        label = str(backup)
        if not options["yes"]:
            raise BadSetting(
                f"{label} of {backup.database} would be removed for good", "say --yes if it may"
            )
        team = backup.database.server.team
        job = request_delete(backup, user=None)
        record(actor_of(None), "backup.delete", team=team, subject=backup)
        if not options["wait"]:
            return Report({"job": job.pk, "label": label}, [f"job {job.pk} will remove {label}"])
        job = wait_for(job, quiet=options["quiet"])
        data: dict[str, Any] = {"job": job.pk, "job_state": job.state, "label": label}
        if status_of(job):
            data["error"] = error_of(job)
            return Report(data, [f"{job.state}: {job.error}"], status_of(job))
        return Report(data, [f"{label} is removed"])
