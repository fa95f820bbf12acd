"""The command `covetbackup drop_retained RESTORE`: drop the database that a restore replaced."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.reporting import ReportingCommand
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from restores.management.lookups import add_arguments, find_retained, follow
from restores.retained import request_drop


class Command(ReportingCommand):
    manual = Manual(
        "drop for good the database that a restore replaced",
        "",
        "covetbackup drop_retained 0b9c6a52-… --confirm shop_replaced_20260101 --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_arguments(parser, confirm="the name under which it is retained")

    def report(self, **options: Any) -> Report:
        retained = find_retained(options["restore"])
        job = request_drop(retained, by=actor_of(None), typed=options["confirm"])
        return follow(job, retained, f"drop {retained}", options)
