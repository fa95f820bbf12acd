"""`manage.py drop_kept RESTORE --confirm NAME`: drop the database that a restore replaced."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.reporting import ReportingCommand
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.report import Report
from restores.management.lookups import add_arguments, find_kept, followed
from restores.retained import request_drop


class Command(ReportingCommand):
    help = "Drop for good the database that was kept when a restore replaced it."

    def arguments(self, parser: CommandParser) -> None:
        add_arguments(parser, confirm="the name under which it is kept")

    def report(self, **options: Any) -> Report:
        kept = find_kept(options["restore"])
        job = request_drop(kept, by=actor_of(None), typed=options["confirm"])
        return followed(job, kept, f"drop {kept}", options)
