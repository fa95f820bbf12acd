"""The command `covetbackup quarantine`: show, end or begin the quarantine of a copied catalog."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups import quarantine
from backups.catalog_location import location_of_catalog
from backups.management.reporting import ReportingCommand
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report


class Command(ReportingCommand):
    manual = Manual(
        "show, end or begin the quarantine of a copied catalog",
        "A copied catalog runs no job until it is declared the successor of its original.",
        "covetbackup quarantine --end",
    )

    def arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--end",
            action="store_true",
            help="this catalog is the successor: its original is stopped and stays so",
        )
        what.add_argument(
            "--begin",
            action="store_true",
            help="before a copy is started that looks like its original (a cloned machine, a copy"
            " of the whole PostgreSQL server)",
        )

    def report(self, **options: Any) -> Report:
        if options["end"]:
            quarantine.end(actor_of(None))
        if options["begin"]:
            quarantine.begin(actor_of(None))
        is_on = quarantine.is_quarantined()
        lines = ["not in quarantine: jobs run"]
        if is_on:
            lines = [quarantine.REASON, quarantine.HINT]
        return Report({"quarantined": is_on, "place": location_of_catalog()}, lines)
