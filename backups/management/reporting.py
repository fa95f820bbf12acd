"""What all commands of the catalog share: `--json`, exit statuses, how a report is printed."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection

from covetbackup.access.models import Team
from covetbackup.command_line import command
from covetbackup.core import errors
from covetbackup.core.cli.exits import CANCELLED, EXITS, FAILED, exit_status
from covetbackup.core.cli.printing import print_error, print_line, print_report
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import BadSetting, Cancelled, CovetError, DatabaseUnavailable
from covetbackup.core.stream.disk import fault_of
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, AWAY_HINT, described

EXIT_CODES = "Exit status: " + "; ".join(f"{code} {why}" for code, why in EXITS.items())


class ReportingCommand(BaseCommand):
    """A command that makes one `Report`, or ends with the exit status of its error."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXIT_CODES, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="one JSON object on standard output"
        )
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """The command's own arguments."""

    @abstractmethod
    def report(self, **options: Any) -> Report:
        """Do the work. Raises `CovetError`."""

    def handle(self, **options: Any) -> None:
        for stream in (self.stdout, self.stderr):
            stream.ending, stream.style_func = "", None  # lines are ended and styled by `printing`
        try:
            report = self._reported(**options)
        except CovetError as error:
            self._print_error(error, as_json=options["json"])
            sys.exit(exit_status(error))
        except (Cancelled, KeyboardInterrupt):
            print_line("cancelled", self.stderr)
            sys.exit(CANCELLED)
        if options["json"]:
            self._print_json({"status": report.status, **report.data})
        else:
            print_report(report, self.stdout)
        if report.status:
            sys.exit(report.status)

    def _reported(self, **options: Any) -> Report:
        try:
            return self.report(**options)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise fault_of(error) from error
        except DatabaseError as error:
            if _has_tables(error):
                raise
            raise BadSetting(
                "the catalog is empty", f"run {command('init')} to begin one"
            ) from error

    def _print_error(self, error: CovetError, *, as_json: bool) -> None:
        if as_json:
            self._print_json({"status": exit_status(error), "error": _fault(error)})
            return
        print_error(error, self.stderr)

    def _print_json(self, data: dict[str, Any]) -> None:
        print(json.dumps(data, ensure_ascii=False, default=str), file=self.stdout)


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
    """What an ended job failed of, as a report has it."""
    return {"code": job.error_code, "message": job.error, "hint": job.hint}


def status_of(job: Job) -> int:
    """The exit status that tells how an ended job ended."""
    if job.state == JobState.SUCCEEDED:
        return 0
    if job.state == JobState.CANCELLED:
        return CANCELLED
    kind = getattr(errors, job.error_code, None)
    if isinstance(kind, type) and issubclass(kind, CovetError):
        return exit_status(kind(""))
    return FAILED
