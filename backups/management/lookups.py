"""From what is typed to the one row that is meant. Commands see all teams."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from django.db.models import Model, QuerySet

from backups.models import Backup, BackupState, Database, Repository
from backups.search import id_begins
from covetbackup.access.models import Team
from covetbackup.command_line import command
from covetbackup.core.crypto.keyfile import read_passphrase
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.secret import Secret

_Row = TypeVar("_Row", bound=Model)
TEAM_HELP = "name of the team; not needed while there is one"


def find_team(name: str) -> Team:
    """The team of that name, "" for the only one."""
    rows = Team.objects.filter(name=name) if name else Team.objects.all()
    return _only(rows, f"team {name!r}" if name else "team", "name one with --team")


def find_database(text: str) -> Database:
    """By "server/database", by a name that is the only one, or by number."""
    rows = Database.objects.select_related("server__team")
    server, slash, name = text.partition("/")
    found = rows.filter(server__name=server, name=name) if slash else rows.none()
    if not found.exists():
        found = rows.filter(name=text)
    if not found.exists() and _is_number(text):
        found = rows.filter(pk=int(text))
    return _only(found, f"database {text!r}", "write it as SERVER/DATABASE")


def find_repository(text: str, team: Team | None = None) -> Repository:
    """By name or URL."""
    rows = Repository.objects.select_related("team")
    rows = rows.filter(team=team) if team else rows
    found = rows.filter(name=text)
    found = found if found.exists() else rows.filter(url=text)
    return _only(found, f"repository {text!r}", "the web page Repositories lists them")


def find_backup(text: str) -> Backup:
    """By label, or by id or the first 4 or more digits of it."""
    rows = Backup.objects.select_related("database__server__team")
    rows = rows.exclude(state=BackupState.REMOVED)
    found = rows.filter(label=text)
    if not found.exists():
        found = rows.filter(id_begins(text, digits=4))
    return _only(found, f"backup {text!r}", f"labels and ids are shown by {command('backups')}")


def password_from(path: Path | None) -> Secret | None:
    """The first line of a file that only this user can read."""
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
