"""The command `covetbackup rotate`: replace a team's working key and wrap its backups for it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from backups.key_rotation import replace_working_key, rewrap_backups
from backups.management.lookups import TEAM_HELP, find_team
from backups.management.reporting import ReportingCommand
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli import exits
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.operations.rotate import Rotation
from covetbackup.core.progress import Silent


class Command(ReportingCommand):
    manual = Manual(
        "replace the working key of a team and wrap its backups for the new one",
        """Only the small keys objects of the backups are written; data and manifests stay. The old
        key stays in the catalog to decrypt with. Recovery and signing keys are not changed.

        A rotation that was interrupted, or could not reach a backup, is finished with --finish.""",
        "covetbackup rotate --team Operations",
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--team", default="", help=TEAM_HELP)
        parser.add_argument(
            "--finish", action="store_true", help="wrap for the present working key, create none"
        )

    def report(self, **options: Any) -> Report:
        team = find_team(options["team"])
        key = None if options["finish"] else replace_working_key(team, timezone.now())
        key_id = key.key_id if key else ""
        rows = [
            {
                "repository": repository.name,
                "label": str(result.label),
                "state": result.state.value,
                "error": str(result.error) if result.error else "",
            }
            for repository, result in rewrap_backups(team, Silent())
        ]
        states = [row["state"] for row in rows]
        failed, remaining = states.count(Rotation.FAILED), states.count(Rotation.OLD_KEYS_REMAIN)
        details = {"key": key_id, "failed": failed}
        record(actor_of(None), "key.rotate", team=team, details=details)
        lines = [f"{row['state']:8} {row['label']} {row['error']}".rstrip() for row in rows]
        status = exits.FAILED if failed else exits.STORAGE if remaining else exits.OK
        data = {"key": key_id, "backups": rows, "failed": failed, "old_keys_remain": remaining}
        return Report(data, [*([f"new working key {key_id}"] if key else []), *lines], status)
