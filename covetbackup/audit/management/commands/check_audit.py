"""The command `covetbackup check_audit`: check the chain of the audit log, and print its head."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from covetbackup.audit.log import head, verify_chain
from covetbackup.audit.models import AuditEntry
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.manual_command import ManualCommand


class Command(ManualCommand):
    manual = Manual(
        "check that no entry of the audit log was changed or removed",
        "Keep the printed head elsewhere: with --head, a log that was cut off is noticed too.",
        "covetbackup check_audit",
    )
    exits = {0: "the log is intact", 1: "an entry was changed or removed, or the head is missing"}

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="the digest that an earlier check printed")

    def handle(self, **options: Any) -> None:
        broken = verify_chain()
        if broken is not None:
            raise CommandError(f"entry {broken} of the audit log was changed or removed")
        known = options["head"]
        if known and not AuditEntry.objects.filter(digest=known).exists():
            raise CommandError("the end of the audit log was cut off: the head is not in it")
        sequence, digest = head()
        data = {"entries": sequence, "head": digest}
        lines = [f"{sequence} entries, none changed or removed; head {digest}"]
        self.print_report(Report(data, lines), as_json=options["json"])
