"""The base of the commands about the catalog: one report, or one error with its exit status."""

from __future__ import annotations

import sys
from abc import abstractmethod
from dataclasses import replace
from typing import Any

from django.db import DatabaseError, connection

from covetbackup.access.models import Team
from covetbackup.command_line import command
from covetbackup.core import errors
from covetbackup.core.cli.exits import CANCELLED, FAILED, exit_status
from covetbackup.core.cli.printing import print_error, print_line
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import BadSetting, Cancelled, CovetError, DatabaseUnavailable
from covetbackup.core.stream.disk import storage_error
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, AWAY_HINT, described
from covetbackup.manual_command import ManualCommand


class ReportingCommand(ManualCommand):
    """A command that makes one `Report`, or ends with the exit status of its error."""

    @abstractmethod
    def report(self, **options: Any) -> Report:
        """Do the work and return its report. Raises `CovetError`."""

    def handle(self, **options: Any) -> None:
        self.stderr.style_func = None  # `printing` has its own colours
        try:
            report = self._reported(**options)
        except CovetError as error:
            self._print_error(error, as_json=options["json"])
            sys.exit(exit_status(error))
        except (Cancelled, KeyboardInterrupt):
            print_line("cancelled", self.stderr)
            sys.exit(CANCELLED)
        shown = replace(report, data={"status": report.status, **report.data})
        self.print_report(shown, as_json=options["json"])
        if report.status:
            sys.exit(report.status)

    def _reported(self, **options: Any) -> Report:
        try:
            return self.report(**options)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise storage_error(error) from error
        except DatabaseError as error:
            if _has_tables(error):
                raise
            raise BadSetting(
                "the catalog is empty", f"run {command('init')} to begin one"
            ) from error

    def _print_error(self, error: CovetError, *, as_json: bool) -> None:
        if as_json:
            self.print_json({"status": exit_status(error), "error": _fault(error)})
            return
        print_error(error, self.stderr)


def _has_tables(error: DatabaseError) -> bool:
    """Raises `DatabaseUnavailable` if the catalog does not even answer that."""
    try:
        return Team._meta.db_table in connection.introspection.table_names()
    except AWAY:
        raise DatabaseUnavailable(described(error), AWAY_HINT) from error


def _fault(error: CovetError) -> dict[str, str]:
    names = ("code", "message", "hint", "details")
    return {name: getattr(error, name) for name in names}


def error_of(job: Job) -> dict[str, str]:
    """Return the error of an ended job as a report has it."""
    return {"code": job.error_code, "message": job.error, "hint": job.hint}


def status_of(job: Job) -> int:
    """Return the exit status that says how an ended job ended."""
    if job.state == JobState.SUCCEEDED:
        return 0
    if job.state == JobState.CANCELLED:
        return CANCELLED
    kind = getattr(errors, job.error_code, None)
    if isinstance(kind, type) and issubclass(kind, CovetError):
        return exit_status(kind(""))
    return FAILED
