"""`manage.py check_audit`: whether the audit log's chain is whole, and its head to keep elsewhere.

Exit status 1 if an entry was changed or removed, or if `--head` is not in the log any more.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from covetbackup.audit.log import head, verify_chain
from covetbackup.audit.models import AuditEntry


class Command(BaseCommand):
    help = "Check that no entry of the audit log was changed or removed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="the digest that an earlier check printed")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, **options: Any) -> None:
        broken = verify_chain()
        if broken is not None:
            raise CommandError(f"entry {broken} of the audit log was changed or removed")
        known = options["head"]
        if known and not AuditEntry.objects.filter(digest=known).exists():
            raise CommandError("the end of the audit log was cut off: the head is not in it")
        sequence, digest = head()
        if options["json"]:
            self.stdout.write(json.dumps({"entries": sequence, "head": digest}))
        else:
            self.stdout.write(f"{sequence} entries, none changed or removed; head {digest}")
