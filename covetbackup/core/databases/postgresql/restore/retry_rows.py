"""Changes to the database before refused rows are loaded again."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from covetbackup.core.databases.postgresql.restore.check_constraints import DroppedCheckConstraints
from covetbackup.core.databases.postgresql.restore.tentative import RefusedRows

# A name was not found: no such function or table in the search path, or no such schema.
_NOT_FOUND = ("42", "3F")


class RowRetry:
    """The steps of loading refused rows again.

    Check constraints are dropped, then search paths of the source are tried; `path` is the search
    path that rows are to be loaded with.
    """

    def __init__(self, checks: DroppedCheckConstraints, paths: Sequence[str]) -> None:
        self.path = ""
        self._checks = checks
        self._paths = list(paths)

    def prepare(self, failures: Sequence[RefusedRows]) -> None:
        """Take the next step before all `failures` are loaded again.

        Raises the error of a failure that no step can help.
        """
        tables = [
            (each.entry.text(each.entry.schema), each.entry.text(each.entry.tag))
            for each in failures
        ]
        if self._checks.drop(tables):
            return
        hopeless = [each for each in failures if not _misses_a_name(each)]
        if hopeless or not self._paths:
            raise (*hopeless, *failures)[0].error
        self.path = self._paths.pop(0)


def _misses_a_name(failure: RefusedRows) -> bool:
    cause = failure.error.__cause__
    return isinstance(cause, psycopg.Error) and str(cause.sqlstate)[:2] in _NOT_FOUND
