"""The command `covetbackup backup DATABASE`: request a backup; with `--wait` report its result."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import find_database, find_repository
from backups.management.reporting import ReportingCommand, error_of, status_of
from backups.management.views import backup_json, backup_lines, copies_json
from backups.management.waiting import wait_for
from backups.models import Backup, BackupState
from backups.services import request_backup
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.exits import STORAGE
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.manager import PLAIN
from covetbackup.jobs.models import Job


class Command(ReportingCommand):
    manual = Manual(
        "back up a database",
        "A worker takes the backup; without --wait the command ends once the job is requested.",
        "covetbackup backup production/shop --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("database", help="SERVER/DATABASE, or a name that only one has")
        stored = parser.add_argument_group("how it is stored")
        stored.add_argument(
            "--repo",
            action="append",
            metavar="REPOSITORY",
            help="repeat to store copies; default: the team's",
        )
        stored.add_argument(
            "--codec", default="zstd:3", help="none, gzip, bzip2, lzma or zstd, :level"
        )
        stored.add_argument(
            "--cipher",
            default=Suite.AES_256_GCM.value,
            choices=[*map(str, Suite), PLAIN],
            help="encryption",
        )
        stored.add_argument("--method", default="", help="of the database kind; default: its best")
        stored.add_argument("--note", default="", help="text that is shown with the backup")
        parser.add_argument("--wait", action="store_true", help="until the backup is complete")

    def report(self, **options: Any) -> Report:
        database = find_database(options["database"])
        team = database.server.team
        names = options["repo"]
        backup = request_backup(
            database,
            user=None,
            repositories=[find_repository(name, team) for name in names] if names else None,
            codec=options["codec"],
            cipher=options["cipher"],
            method=options["method"],
            note=options["note"],
        )
        record(actor_of(None), "backup.run", team=team, subject=database)
        job = backup.job
        if not options["wait"]:
            told = f"job {job.pk} will back up {database}"
            return Report({"job": job.pk, "backup": str(backup.pk)}, [told])
        return _finished(wait_for(job, quiet=options["quiet"]), backup.pk)


def _finished(job: Job, pk: Any) -> Report:
    backup = Backup.objects.select_related("database__server").get(pk=pk)
    data = {"job": job.pk, "job_state": job.state, **backup_json(backup)}
    data["copies"] = copies_json(backup)
    status = status_of(job)
    if status:
        data["error"] = error_of(job)
        lines = [f"{job.state}: {job.error}", *([f"hint: {job.hint}"] if job.hint else [])]
        return Report(data, lines, status)
    missing = backup.state == BackupState.DEGRADED
    return Report(data, backup_lines(backup), STORAGE if missing else 0)
