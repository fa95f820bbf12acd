"""The command `covetbackup add_server`: register a server and discover its databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.utils import timezone

from backups.ca_certificates import checked
from backups.discovery import Discovery, discover
from backups.management.lookups import TEAM_HELP, find_team, password_from
from backups.management.reporting import ReportingCommand
from backups.models import Server
from backups.onboarding import save_server
from backups.probing import remember, try_server
from covetbackup.access.models import Team
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.registry import kind_named, kind_of_url
from covetbackup.core.databases.server import ServerProbe
from covetbackup.core.errors import BadSetting
from covetbackup.core.text import count_text


class Command(ReportingCommand):
    manual = Manual(
        "register a server or a folder of SQLite files and discover its databases",
        """The connection is tested first: nothing is registered when that fails. Missing privileges
        are printed with the statements that grant them.""",
        """
        covetbackup add_server postgresql://backup@db.example.org/ --name production \\
            --password-file pg.password
        """,
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "address",
            help="postgresql://user@host:port/database, mysql://user@host:port/ (for MariaDB too)"
            " or sqlite:////absolute/folder",
        )
        parser.add_argument("--name", required=True, help="what to call it")
        parser.add_argument("--team", default="", help=TEAM_HELP)
        parser.add_argument("--password-file", type=Path, metavar="FILE")
        parser.add_argument("--include", action="append", default=[], metavar="PATTERN")
        parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN")
        parser.add_argument("--queue", default="jobs", help="of the workers that can reach it")

    def report(self, **options: Any) -> Report:
        server = server_at(options["address"], options["name"], find_team(options["team"]))
        server.include = "\n".join(options["include"])
        server.exclude = "\n".join(options["exclude"])
        server.queue = options["queue"]
        _check(server)
        password = password_from(options["password_file"])
        # Tested first: a typing error leaves nothing behind.
        check = try_server(server, password=password)
        save_server(server, password.reveal() if password else None)
        found = discover(server)
        remember(server, check)
        record(actor_of(None), "server.add", team=server.team, subject=server)
        return Report(_data(server, check, found), _lines(server, check, found))


def server_at(address: str, name: str, team: Team) -> Server:
    """Return the unsaved row for an address as the engine's command line takes it."""
    kind = kind_of_url(address)
    found = kind_named(kind).server_at(address)
    server = Server(
        team=team,
        name=name,
        kind=kind,
        host=found.host,
        user=found.user,
        sslmode=found.sslmode,
        authority=_authority(found.sslrootcert),
        folder=found.folder,
    )
    if found.host:
        server.port, server.maintenance_database = found.port, found.maintenance_database
    return server


def _authority(path: str) -> str:
    """The certificates in the file that the address names: workers may run elsewhere."""
    if not path:
        return ""
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path[:200]!r} cannot be read", "it is to be a file in PEM") from error
    return checked(text, now=timezone.now())


def _check(server: Server) -> None:
    try:
        server.full_clean()
    except ValidationError as error:
        raise BadSetting(" ".join(error.messages)) from error


def _data(server: Server, check: ServerProbe, found: Discovery) -> dict[str, Any]:
    return {
        "server": server.pk,
        "name": server.name,
        "version": check.version,
        "databases": list(found.present),
        "unusable": list(found.unusable),
        "findings": [
            {
                "title": finding.title,
                "detail": finding.detail,
                "fix": finding.fix,
                "blocking": finding.level is Level.FAIL,
            }
            for finding in check.checks
        ],
    }


def _lines(server: Server, check: ServerProbe, found: Discovery) -> list[str]:
    lines = [
        f"{server.name}: {server.get_kind_display()} {check.version}, "
        f"{count_text(len(found.present), 'database')}"
    ]
    included = set(server.databases.filter(is_included=True).values_list("name", flat=True))
    lines += [
        f"  {name}" + ("" if name in included else "  (not included)") for name in found.present
    ]
    for finding in check.checks:
        lines += [f"warning: {finding.title}: {finding.detail}", *finding.fix.splitlines()]
    return lines
