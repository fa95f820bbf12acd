"""The command `covetbackup worker`: take jobs from one queue until a signal stops it."""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from covetbackup.core.cli.manual import Manual
from covetbackup.core.errors import CovetError
from covetbackup.jobs.outage import AWAY, AWAY_HINT, described
from covetbackup.jobs.worker.cluster import Worker
from covetbackup.manual_command import ManualCommand


class Command(ManualCommand):
    manual = Manual(
        "take jobs from a queue and run them, until SIGTERM",
        "",
        "covetbackup worker --queue jobs",
    )
    exits = {
        0: "stopped; jobs that ran are back in the queue",
        1: "it could not start",
        70: "its cluster died: start it again",
        75: "its cluster got stuck: start it again",
    }
    reports = False
    requires_migrations_checks = True

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--queue", default=settings.QUEUE or "jobs", help="default: jobs")

    def check_migrations(self) -> None:
        """Check the catalog; raise `CommandError` if it does not answer."""
        try:
            super().check_migrations()
        except AWAY as error:
            raise CommandError(f"{described(error)}\n{AWAY_HINT}") from error

    def handle(self, *, queue: str, **_: Any) -> None:
        if settings.QUEUE != queue:
            # q2 reads its queue's name from the environment, when it is imported.
            os.environ["Q_CLUSTER_NAME"] = queue
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        try:
            status = Worker().run()
        except CovetError as error:
            raise CommandError(f"{error.message}\n{error.hint}") from error
        logging.shutdown()
        os._exit(status)  # q2 leaves threads behind that nobody could wait for
