"""The command `covetbackup revert_restore RESTORE --confirm NAME`: undo a replacement."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.reporting import ReportingCommand
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from restores.management.lookups import add_arguments, find_retained, follow
from restores.retained import request_swap_back


class Command(ReportingCommand):
    manual = Manual(
        "put a replaced database back in its place",
        "The database that the restore made is retained instead.",
        "covetbackup revert_restore 0b9c6a52-… --confirm shop --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_arguments(parser, confirm="the name of the database that was replaced")

    def report(self, **options: Any) -> Report:
        retained = find_retained(options["restore"])
        job = request_swap_back(retained, by=actor_of(None), typed=options["confirm"])
        summary = f"put {retained} back as {retained.restore.request.database}"
        return follow(job, retained, summary, options)
