"""`covetbackup show BACKUP`: print what the catalog knows about one backup."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import BACKUP_HELP, find_backup
from backups.management.reporting import ReportingCommand
from backups.management.views import backup_json, copies_json, details
from covetbackup.core.cli.report import Report


class Command(ReportingCommand):
    help = "Show one backup: its state, sizes, copies, checks and contents."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", help=BACKUP_HELP)

    def report(self, **options: Any) -> Report:
        backup = find_backup(options["backup"])
        data = {
            **backup_json(backup),
            "copies": copies_json(backup),
            "inventory": backup.inventory,
            "warnings": backup.warnings,
        }
        return Report(data, details(backup))
