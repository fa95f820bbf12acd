"""The command `covetbackup show BACKUP`: print what the catalog knows about one backup."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import add_backup_argument, backup_of
from backups.management.reporting import ReportingCommand
from backups.management.views import backup_json, copies_json, details
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report


class Command(ReportingCommand):
    manual = Manual(
        "show one backup with its copies, checks and contents",
        "",
        "covetbackup show latest --database production/shop",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_backup_argument(parser)

    def report(self, **options: Any) -> Report:
        backup = backup_of(options)
        data = {
            **backup_json(backup),
            "copies": copies_json(backup),
            "inventory": backup.inventory,
            "warnings": backup.warnings,
        }
        return Report(data, details(backup))
