"""The command `covetbackup up`: run the web server and the workers under one supervisor."""

from __future__ import annotations

import signal
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from covetbackup.command_line import command
from covetbackup.core.cli.manual import Manual
from covetbackup.jobs.children import POLL_SECONDS, Children, SupervisedProgram
from covetbackup.jobs.outage import AWAY, AWAY_HINT, described
from covetbackup.jobs.worker import kernel
from covetbackup.manual_command import ManualCommand

WEB_GRACE_SECONDS = 6.0
WORKER_GRACE_SECONDS = 7.5
"""A worker gives itself six seconds; both fit into the eight that stopping may take."""


class Command(ManualCommand):
    manual = Manual(
        "serve the dashboard and run its jobs, until Ctrl-C",
        "The web server and the workers run under one supervisor, which starts them again.",
        "covetbackup up --bind 127.0.0.1:8000",
    )
    exits = {0: "stopped; jobs that ran are back in the queue", 1: "it could not start"}
    reports = False

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--bind", default="127.0.0.1:8000", help="address; default: 127.0.0.1:8000"
        )
        parser.add_argument("--threads", type=int, default=8, help="of the web server; default: 8")
        parser.add_argument(
            "--queue", action="append", help="a queue to work for; repeat; default: jobs"
        )

    def handle(self, *, bind: str, threads: int, queue: list[str] | None, **_: Any) -> None:
        self._asked_to_stop = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        _refuse_without_tables()
        _refuse_if_taken(bind)
        # Each start, as the files belong to the code that is about to be served.
        call_command("collectstatic", interactive=False, verbosity=0)
        kernel.adopt_orphans()
        workers = [_worker(name) for name in dict.fromkeys(queue or ["jobs"])]
        children = Children([_web(bind, threads), *workers])
        self.stdout.write(f"CovetBackup is at http://{bind}/ (Ctrl-C stops it)")
        while not self._asked_to_stop:
            children.keep_running()
            time.sleep(POLL_SECONDS)
        self.stdout.write("stopping; running jobs go back to the queue")
        children.stop()

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_stop = True


def _web(bind: str, threads: int) -> SupervisedProgram:
    # One process with SQLite, whose writers would wait for each other; two with a server.
    processes = 1 if connection.vendor == "sqlite" else 2
    options = {
        "--bind": bind,
        "--workers": processes,
        "--worker-class": "gthread",
        "--threads": threads,
        "--timeout": 60,
        "--graceful-timeout": 5,
        "--chdir": settings.BASE_DIR,
        **({"--worker-tmp-dir": "/dev/shm"} if Path("/dev/shm").is_dir() else {}),
    }
    words = ["--no-control-socket", *(str(word) for option in options.items() for word in option)]
    argv = [sys.executable, "-m", "gunicorn", *words, "covetbackup.wsgi:application"]
    return SupervisedProgram("web", argv, WEB_GRACE_SECONDS)


def _worker(queue: str) -> SupervisedProgram:
    script = settings.BASE_DIR / "manage.py"
    program = [str(script)] if settings.IS_CHECKOUT else ["-m", "covetbackup"]
    argv = [sys.executable, *program, "worker", "--queue", queue]
    return SupervisedProgram(
        f"worker {queue}", argv, WORKER_GRACE_SECONDS, {"Q_CLUSTER_NAME": queue}
    )


def _refuse_without_tables() -> None:
    try:
        executor = MigrationExecutor(connection)
    except AWAY as error:
        raise CommandError(f"{described(error)}\n{AWAY_HINT}") from error
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(f"the catalog is not up to date\nrun {command('migrate')} first")
    connections.close_all()


def _refuse_if_taken(bind: str) -> None:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit():
        return  # a socket's path, or something that gunicorn will judge
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise CommandError(
                f"cannot listen at {bind}: {(error.strerror or str(error)).lower()}\n"
                "is a dashboard running there already? choose another place with --bind"
            ) from error
