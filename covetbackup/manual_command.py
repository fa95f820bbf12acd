"""The base of the dashboard's commands: `--help` as a manual page, `--json` and `--quiet`."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from covetbackup.core.cli.exits import EXITS
from covetbackup.core.cli.manual import Manual, ManualFormatter, description, epilog
from covetbackup.core.cli.printing import print_report
from covetbackup.core.cli.report import Report


class ManualCommand(BaseCommand):
    """A command that describes itself by `manual` and `exits`, and adds its own `arguments`."""

    manual: Manual
    exits: Mapping[int, str] = EXITS
    reports = True
    """Whether it ends with a report: a server or a worker has none to print with `--json`."""

    # Django's own options still work; they are of no use to most people.
    suppressed_base_arguments = {
        *("--version", "--verbosity", "--settings", "--pythonpath"),
        *("--traceback", "--no-color", "--force-color"),
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser whose help reads like a manual page."""
        kwargs |= {"formatter_class": ManualFormatter, "epilog": epilog(self.manual, self.exits)}
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = description(self.manual)
        for action in parser._actions:  # Django gives no other way to hide this one
            if "--skip-checks" in action.option_strings:
                action.help = SUPPRESS
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        output = parser.add_argument_group("output")
        if self.reports:
            output.add_argument(
                "--json", action="store_true", help="one JSON object on standard output"
            )
        output.add_argument("--quiet", action="store_true", help="no progress on standard error")
        self.arguments(parser)

    def arguments(self, parser: ArgumentParser) -> None:
        """Add the command's own arguments."""

    def print_json(self, data: Mapping[str, Any]) -> None:
        """Print `data` as one JSON object on standard output."""
        self.stdout.write(json.dumps(data, ensure_ascii=False, default=str))

    def print_report(self, report: Report, *, as_json: bool) -> None:
        """Print the data of `report` as JSON, or its table and lines."""
        if as_json:
            self.print_json(report.data)
        else:
            print_report(report, self.stdout)
