"""The command `covetbackup cleanup PLACE`: remove what killed backups and restores left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from backups import engine_factory
from backups.management.lookups import find_repository
from backups.management.reporting import ReportingCommand
from backups.models import Repository, Server
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli import exits
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import BadSetting
from covetbackup.core.manager import BackupManager
from covetbackup.core.text import count_text

_LONGEST_HOURS = 24 * 365


class Command(ReportingCommand):
    manual = Manual(
        "remove what killed backups or restores left behind",
        """In a repository these are unfinished backups and uploads, on a server the scratch
        databases of restores. Workers do the same by themselves for jobs of this catalog. What a
        process that still runs works on is left alone.""",
        "covetbackup cleanup Local --older-than 48",
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("place", help="the name of a repository or of a server")
        parser.add_argument(
            "--older-than", type=float, default=24.0, metavar="HOURS", help="default: 24"
        )

    def report(self, **options: Any) -> Report:
        hours = options["older_than"]
        if not 0 < hours <= _LONGEST_HOURS:
            raise BadSetting(
                f"--older-than {hours} is not a time after which a backup is dead",
                f"give hours, more than the longest backup takes and up to {_LONGEST_HOURS}",
            )
        age = timedelta(hours=hours)
        server = Server.objects.select_related("team").filter(name=options["place"]).first()
        if server is not None:
            return _of_server(server, age)
        return _of_repository(find_repository(options["place"]), age)


def _of_server(server: Server, age: timedelta) -> Report:
    left: list[str] = []
    target = engine_factory.server_engine(server).target()
    removed = target.cleanup(timezone.now() - age, left.append)
    record(actor_of(None), "server.cleanup", team=server.team, subject=server)
    lines = [
        *(f"removed unfinished restore {name}" for name in removed),
        *(f"not removed: {text}" for text in left),
        f"removed {count_text(len(removed), 'unfinished restore')}",
    ]
    status = exits.FAILED if left else exits.OK
    return Report({"restores": removed, "failures": left}, lines, status)


def _of_repository(row: Repository, age: timedelta) -> Report:
    removed = BackupManager(engine_factory.open_repository(row)).cleanup(age)
    record(actor_of(None), "repository.cleanup", team=row.team, subject=row)
    labels = [str(label) for label in removed.labels]
    failures = {name: str(error) for name, error in removed.failures.items()}
    lines = [
        *(f"removed unfinished backup {label}" for label in labels),
        *(f"removed unfinished upload {name}" for name in removed.uploads),
        *(f"not removed: {name}: {error}" for name, error in failures.items()),
        f"removed {count_text(len(labels), 'unfinished backup')} and "
        f"{count_text(len(removed.uploads), 'unfinished upload')}",
    ]
    data = {"labels": labels, "uploads": removed.uploads, "failures": failures}
    return Report(data, lines, exits.STORAGE if failures else exits.OK)
