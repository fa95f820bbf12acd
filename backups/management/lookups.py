"""Rows of the catalog by what the arguments of a command name. Commands see all teams."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import CommandParser
from django.db.models import Model, QuerySet

from backups.models import Backup, BackupState, Database, Repository
from backups.models.backup import RESTORABLE_STATES
from backups.search import id_begins
from covetbackup.access.models import Team
from covetbackup.command_line import command
from covetbackup.core.crypto.keyfile import read_passphrase
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.secret import Secret

_Row = TypeVar("_Row", bound=Model)
TEAM_HELP = "name of the team; not needed while there is one"
BACKUP_HELP = 'a label, an id or its first 4 digits or more, or "latest"'


def find_team(name: str) -> Team:
    """Return the team with the name; for "", the only one. Raises `BadSetting`."""
    rows = Team.objects.filter(name=name) if name else Team.objects.all()
    return _only(rows, f"team {name!r}" if name else "team", "name one with --team")


def find_database(text: str) -> Database:
    """Return the database by "SERVER/DATABASE", by its name if only one has it, or by number.
    Raises `BadSetting`."""
    rows = Database.objects.select_related("server__team")
    server, slash, name = text.partition("/")
    found = rows.filter(server__name=server, name=name) if slash else rows.none()
    if not found.exists():
        found = rows.filter(name=text)
    if not found.exists() and _is_number(text):
        found = rows.filter(pk=int(text))
    return _only(found, f"database {text!r}", "write it as SERVER/DATABASE")


def find_repository(text: str, team: Team | None = None) -> Repository:
    """Return the repository with the name or the URL. Raises `BadSetting`."""
    rows = Repository.objects.select_related("team")
    rows = rows.filter(team=team) if team else rows
    found = rows.filter(name=text)
    found = found if found.exists() else rows.filter(url=text)
    return _only(found, f"repository {text!r}", "the web page Repositories lists them")


def add_backup_argument(parser: CommandParser) -> None:
    """Add the arguments that `backup_of` reads."""
    parser.add_argument("backup", help=BACKUP_HELP)
    parser.add_argument(
        "--database", default="", metavar="SERVER/NAME", help="only among the backups of this one"
    )


def backup_of(options: dict[str, Any]) -> Backup:
    """Return the backup that a command was given. Raises `BadSetting`."""
    database = options["database"]
    return find_backup(options["backup"], find_database(database) if database else None)


def find_backup(text: str, database: Database | None = None) -> Backup:
    """Return the backup with the label, the id or the first 4 or more digits of the id.

    "latest" is the newest one that can be restored. Only backups of `database` count, if it is
    given. Raises `BadSetting`.
    """
    rows = Backup.objects.select_related("database__server__team")
    rows = rows.exclude(state=BackupState.REMOVED)
    rows = rows.filter(database=database) if database else rows
    if text == "latest":
        restorable = rows.filter(state__in=RESTORABLE_STATES).order_by("-created_at", "-id")
        return _only(restorable[:1], "restorable backup", f"take one with {command('backup')}")
    found = rows.filter(label=text)
    if not found.exists():
        found = rows.filter(id_begins(text, digits=4))
    return _only(found, f"backup {text!r}", f"labels and ids are shown by {command('list')}")


def password_from(path: Path | None) -> Secret | None:
    """Return the first line of a file that only this user can read, None without a file."""
    if path is None:
        return None
    return Secret(read_passphrase(path).split("\n")[0].rstrip("\r"))


def _only(rows: QuerySet[_Row], what: str, hint: str) -> _Row:
    found = list(rows[:2])
    if len(found) == 1:
        return found[0]
    raise BadSetting(f"several are called {what}" if found else f"there is no {what[:200]}", hint)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18
