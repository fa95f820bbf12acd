"""`manage.py swap_back RESTORE --confirm NAME`: undo a replacement."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.reporting import ReportingCommand
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.report import Report
from restores.management.lookups import add_arguments, find_kept, followed
from restores.retained import request_swap_back


class Command(ReportingCommand):
    help = "Give a replaced database its place back; what has it now is kept instead."

    def arguments(self, parser: CommandParser) -> None:
        add_arguments(parser, confirm="the name of the database that was replaced")

    def report(self, **options: Any) -> Report:
        kept = find_kept(options["restore"])
        job = request_swap_back(kept, by=actor_of(None), typed=options["confirm"])
        return followed(job, kept, f"swap {kept} back to {kept.restore.target_name}", options)
