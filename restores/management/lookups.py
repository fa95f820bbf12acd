"""Shared arguments of the commands about retained databases."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import CommandParser

from backups.management.reporting import error_of, status_of
from backups.management.waiting import wait_for
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import BadSetting
from covetbackup.jobs.models import Job
from restores.models import RetainedDatabase


def add_arguments(parser: CommandParser, *, confirm: str) -> None:
    """Add the restore, its confirmation and `--wait`."""
    parser.add_argument("restore", help="the id of the restore that replaced it")
    parser.add_argument("--confirm", required=True, metavar="NAME", help=confirm)
    parser.add_argument("--wait", action="store_true", help="until it is done")


def find_retained(text: str) -> RetainedDatabase:
    """Return the database that the restore with this id replaced. Raises `BadSetting`."""
    rows = RetainedDatabase.objects.select_related("restore__target_server__team")
    try:
        return rows.get(restore=uuid.UUID(text))
    except (ValueError, RetainedDatabase.DoesNotExist):
        raise BadSetting(
            f"no restore {text[:80]!r} has replaced anything", "the web page Restores lists them"
        ) from None


def follow(job: Job, retained: RetainedDatabase, summary: str, options: dict[str, Any]) -> Report:
    """Report the job that was requested, or with `--wait` how it ended.

    `summary` says what the job does, as an infinitive."""
    if not options["wait"]:
        return Report({"job": job.pk}, [f"job {job.pk} will {summary}"])
    ended = wait_for(job, quiet=options["quiet"])
    retained.refresh_from_db()
    data = {"job": job.pk, "job_state": ended.state, "retained_as": retained.name}
    data["state"] = retained.state
    if ended.error:
        data["error"] = error_of(ended)
    return Report(data, [f"{ended.state}: {ended.error or summary}"], status_of(ended))
