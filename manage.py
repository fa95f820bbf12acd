"""Runs the dashboard's management commands; `python manage.py help` lists them."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

from covetbackup.core.cli.output import run_until_read

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "covetbackup.settings")
    sys.exit(run_until_read(lambda: execute_from_command_line(sys.argv)))
