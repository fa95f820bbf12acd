"""The report of the checks before a restore; the same for both programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from covetbackup.core.cli.exits import OK, exit_status
from covetbackup.core.cli.report import Report
from covetbackup.core.databases.checks import Check, is_refused
from covetbackup.core.errors import Conflict


def checks_report(checks: Sequence[Check], restore: str, data: Mapping[str, str]) -> Report:
    """Return a line for each check and the verdict on `restore`, "BACKUP as SERVER/NAME".

    `data` is added to the JSON form. The exit status is 0, or 7 if a check failed.
    """
    refused = is_refused(checks)
    lines = [
        f"{check.level:8} {check.title}: {check.detail} {check.fix}".rstrip() for check in checks
    ]
    verdict = "cannot be restored" if refused else "can be restored"
    status = exit_status(Conflict("")) if refused else OK
    found = {**data, "checks": [check.to_json() for check in checks]}
    return Report(found, [*lines, f"{restore}: {verdict}"], status)
