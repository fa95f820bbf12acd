"""The command `covetbackup verify BACKUP`: prove that what is stored is what was written."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import add_backup_argument, backup_of
from backups.management.reporting import ReportingCommand, error_of, status_of
from backups.management.views import copies_json
from backups.management.waiting import wait_for
from backups.services import request_verify
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.operations.verify import VerifyLevel

LEVELS = [level.value for level in VerifyLevel if level is not VerifyLevel.RESTORE]


class Command(ReportingCommand):
    manual = Manual(
        "verify every copy of a backup",
        """Levels: exists (all objects are there), checksum (stored bytes are those that were
        written), sampled (random parts decrypt and decompress), content (everything does).""",
        "covetbackup verify latest --database production/shop --level content --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_backup_argument(parser)
        parser.add_argument("--level", default=VerifyLevel.CONTENT.value, choices=LEVELS)
        parser.add_argument("--wait", action="store_true", help="until it is done")

    def report(self, **options: Any) -> Report:
        backup, level = backup_of(options), options["level"]
        team = backup.database.server.team
        job = request_verify(backup, level, user=None)
        record(actor_of(None), "backup.verify", team=team, subject=backup, details={"level": level})
        if not options["wait"]:
            return Report({"job": job.pk}, [f"job {job.pk} will verify {backup}"])
        job = wait_for(job, quiet=options["quiet"])
        data = {
            "job": job.pk,
            "job_state": job.state,
            "label": backup.label,
            "level": level,
            "ok": status_of(job) == 0,
            "copies": copies_json(backup),
        }
        if status_of(job):
            data["error"] = error_of(job)
        verdict = "no fault found" if data["ok"] else f"{job.state}: {job.error}"
        return Report(data, [f"{backup}: {verdict} at level {level}"], status_of(job))
