"""The program `covetbackup`, also `python -m covetbackup`: the dashboard's commands."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from covetbackup.core.cli.output import run_until_read

PROGRAM = "covetbackup"
"""The name in the usage lines, whichever way the program was started."""


def main() -> int | None:
    """Run the command that the arguments of this process name; return its exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "covetbackup.settings")
    return run_until_read(lambda: execute_from_command_line([PROGRAM, *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
