"""The command `covetbackup init`: set up a new catalog; run again, change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser

from backups.installation import SetUp, prepare_files, set_up
from backups.management.lookups import password_from
from backups.management.reporting import ReportingCommand
from covetbackup.access.models import User
from covetbackup.access.set_up import set_up_link
from covetbackup.audit.log import actor_of, record
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report


class Command(ReportingCommand):
    manual = Manual(
        "set up the catalog: tables, keys, team, repository and first owner",
        "The owner's password is printed once. Run again, it changes nothing.",
        "covetbackup init --team Operations --owner ada",
    )
    requires_system_checks: list[str] = []  # what they would complain of is made here

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--team", default="Operations", help="name of the first team")
        parser.add_argument("--owner", default="owner", help='user name; "" makes no user')
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--link",
            action="store_true",
            help="make no user; print a link at which the first owner chooses name and password",
        )
        parser.add_argument(
            "--password-file", type=Path, metavar="FILE", help="default: a random one is printed"
        )

    def report(self, **options: Any) -> Report:
        made_files = prepare_files()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        password = password_from(options["password_file"])
        made = set_up(
            team=options["team"],
            owner="" if options["link"] else options["owner"],
            email=options["email"],
            password=password.reveal() if password else "",
        )
        record(actor_of(None), "installation.set-up", team=made.team)
        link = _link() if options["link"] and not User.objects.exists() else ""
        lines = [*(f"made {path}" for path in made_files), *_lines(made)]
        lines += [f"choose the first owner at {link}"] if link else []
        return Report(_data(made) | {"link": link}, lines)


def _link() -> str:
    return set_up_link(secret_key=settings.SECRET_KEY_FILE.read_text(encoding="utf-8").strip())


def _data(made: SetUp) -> dict[str, Any]:
    return {
        "team": made.team.name,
        "owner": made.owner,
        "password": made.password,
        "recovery_file": str(made.recovery_file or ""),
        "repository": made.repository.url if made.repository else "",
        "problems": list(made.problems),
    }


def _lines(made: SetUp) -> list[str]:
    lines = [f"team {made.team} is ready"]
    if made.repository:
        lines.append(f"backups go to {made.repository.url}")
    if made.owner:
        lines.append(f"sign in as {made.owner} with the password {made.password}")
        lines.append("the password is not shown again")
    if made.recovery_file:
        lines.append(f"recovery keys: {made.recovery_file}")
        lines.append("move that file to a safe place away from this machine, and print a copy")
    return [*lines, *(f"warning: {problem}" for problem in made.problems)]
