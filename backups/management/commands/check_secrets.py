"""The command `covetbackup check_secrets`: check the key file, and every secret in the catalog."""

from __future__ import annotations

from typing import Any

from backups.management.reporting import ReportingCommand
from backups.secrets import ENCRYPTED_FIELDS, decrypt_field, require_open
from covetbackup.core.cli.exits import DAMAGED
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import CovetError
from covetbackup.core.text import count_text


class Command(ReportingCommand):
    manual = Manual(
        "check that the key file opens every stored secret",
        "None of them is shown, and nothing is changed.",
        "covetbackup check_secrets",
    )
    requires_system_checks: list[str] = []  # it answers what they would only warn of

    def report(self, **options: Any) -> Report:
        require_open()
        opened, problems = 0, []
        for model, field in ENCRYPTED_FIELDS:
            for row in model.objects.exclude(**{field: ""}).order_by("pk").iterator():
                try:
                    decrypt_field(row, field)
                    opened += 1
                except CovetError as error:
                    problems.append(f"{model._meta.verbose_name} {row}: {error}")
        data = {"opened": opened, "problems": problems}
        verdict = f"the key is right; {count_text(opened, 'secret')} can be opened"
        return Report(data, [*problems, verdict], DAMAGED if problems else 0)
