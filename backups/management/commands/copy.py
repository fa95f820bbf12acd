"""The command `covetbackup copy BACKUP [--to REPOSITORY]`: make the copies that a backup lacks."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.copy_requests import request_copy, request_missing
from backups.management.lookups import add_backup_argument, backup_of, find_repository
from backups.management.reporting import ReportingCommand, status_of
from backups.management.views import copies_json
from backups.management.waiting import wait_for
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.jobs.models import Job


class Command(ReportingCommand):
    manual = Manual(
        "copy a backup to the repositories where it is missing",
        """Byte for byte; the database is not read again. With --to, to that repository
        only, which may be new to the backup.""",
        "covetbackup copy latest --database production/shop --to second --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_backup_argument(parser)
        parser.add_argument(
            "--to", metavar="REPOSITORY", help="this one only, which may be new to the backup"
        )
        parser.add_argument("--wait", action="store_true", help="until it is there")

    def report(self, **options: Any) -> Report:
        backup = backup_of(options)
        team = backup.database.server.team
        if options["to"]:
            repository = find_repository(options["to"], team)
            jobs = [request_copy(backup, repository, user=None)]
        else:
            jobs = request_missing(backup, user=None)
        details = {"jobs": [job.pk for job in jobs]}
        record(actor_of(None), "backup.copy", team=team, subject=backup, details=details)
        if not options["wait"]:
            told = [f"job {job.pk} will {job.title[0].lower()}{job.title[1:]}" for job in jobs]
            return Report(details, told)
        ended = [wait_for(job, quiet=options["quiet"]) for job in jobs]
        data = details | {"label": backup.label, "copies": copies_json(backup)}
        return Report(data, [_line(job) for job in ended], max(map(status_of, ended)))


def _line(job: Job) -> str:
    return f"{job.title}: {job.state} {job.error}".rstrip()
