"""Which databases a server has, and what that changes in the catalog.

A database that is found is included when the server's patterns say so; one that is gone stays in
the catalog with its backups. Nothing is called gone unless the server answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from backups import engine_factory
from backups.models import Database, DatabaseState, Server
from backups.models.source import Inclusion, ServerKind
from backups.roots import check_sqlite_folder
from covetbackup.core.databases.mysql.restore import scratch as mysql_scratch
from covetbackup.core.databases.mysql.server import connection as mysql
from covetbackup.core.databases.mysql.server.settings import SERVERS_OWN
from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.databases.postgresql.server.connection import connect, translated
from covetbackup.core.databases.retained import is_retained
from covetbackup.core.errors import CovetError, DatabaseUnavailable

_SQLITE_HEAD = b"SQLite format 3\0"
_NAME_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Found:
    """A database that a server has; its size is None where the role may not ask for it."""

    name: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a discovery changed: names, sorted. `unusable` are files left out, with the reason."""

    present: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()


def discover(server: Server) -> Discovery:
    """Ask `server` for its databases and bring the catalog up to date.

    Raises `DatabaseUnavailable`, `BadSetting`, `SecretsLocked`; then the server's `problem` says
    so and its databases are as they were.
    """
    try:
        found, unusable = list_databases(server)
    except CovetError as error:
        note_failure(server, error)
        raise
    with transaction.atomic():
        # One discovery of a server at a time: two would add the same names.
        Server.objects.select_for_update().get(pk=server.pk)
        result = _apply(server, found, unusable, now=timezone.now())
        note_problem(server, "")
    return result


def note_problem(server: Server, problem: str, *, is_unreachable: bool = False) -> None:
    server.problem, server.checked_at = problem, timezone.now()
    server.is_unreachable = is_unreachable
    server.save(update_fields=["problem", "checked_at", "is_unreachable"])


def note_failure(server: Server, error: CovetError) -> None:
    """Remember that `server` could not be used."""
    note_problem(server, str(error), is_unreachable=isinstance(error, DatabaseUnavailable))


def list_databases(server: Server) -> tuple[list[Found], list[str]]:
    """The databases the server has now, by name, and files that look like some but cannot be
    used. Touches no row. Errors: `discover`."""
    return _LISTINGS[ServerKind(server.kind)](server)


def is_wanted(name: str, include: str, exclude: str) -> bool:
    """Whether `name` matches a pattern of `include` (none: all do) and none of `exclude`.

    Patterns stand one a line: * and ? and [abc], upper and lower case differ. What a restore
    replaced and kept for some days is wanted only by a pattern that says so: it was backed up.
    """
    included, excluded = _patterns(include), _patterns(exclude)
    takes_all = not included and not is_retained(name)
    if is_retained(name):
        included = [pattern for pattern in included if "_replaced_" in pattern]
    wanted = takes_all or any(fnmatchcase(name, pattern) for pattern in included)
    return wanted and not any(fnmatchcase(name, pattern) for pattern in excluded)


def is_included(row: Database, server: Server) -> bool:
    """Whether `row` is backed up: what a user chose goes before the patterns of `server`."""
    if row.inclusion:
        return row.inclusion == Inclusion.INCLUDED
    return is_wanted(row.name, server.include, server.exclude)


def set_inclusion(row: Database, inclusion: Inclusion) -> None:
    """Have `row` included or excluded from now on, whatever is discovered later."""
    row.inclusion = inclusion
    row.is_included = is_included(row, row.server)
    row.save(update_fields=["inclusion", "is_included"])


def _patterns(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _apply(
    server: Server, found: Sequence[Found], unusable: Sequence[str], *, now: datetime
) -> Discovery:
    known = {database.name: database for database in server.databases.all()}
    present = {entry.name: entry for entry in found}
    was_gone = {name for name, row in known.items() if row.state == DatabaseState.GONE}
    is_gone = known.keys() - present.keys()
    added = [_new(server, entry, now) for entry in found if entry.name not in known]
    for row in added:
        # All are new when a server is added; only what appears later needs attention.
        row.is_new = bool(known) and not is_retained(row.name)
    for name, row in known.items():
        _update(row, server, present.get(name), now)
    Database.objects.bulk_create(added, batch_size=200)
    changed = ["state", "seen_at", "size_bytes", "is_included"]
    Database.objects.bulk_update(known.values(), changed, batch_size=200)
    return Discovery(
        present=tuple(sorted(present)),
        added=tuple(sorted(row.name for row in added)),
        gone=tuple(sorted(is_gone - was_gone)),
        returned=tuple(sorted(was_gone - is_gone)),
        unusable=tuple(unusable),
    )


def _new(server: Server, entry: Found, now: datetime) -> Database:
    row = Database(server=server, name=entry.name)
    _update(row, server, entry, now)
    return row


def _update(row: Database, server: Server, entry: Found | None, now: datetime) -> None:
    row.is_included = is_included(row, server)
    if entry is None:
        row.state = DatabaseState.GONE
        return
    row.state, row.seen_at = DatabaseState.PRESENT, now
    if entry.size_bytes is not None:
        row.size_bytes = entry.size_bytes


_DATABASES = """
SELECT datname,
       CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END
FROM pg_database
WHERE datallowconn AND NOT datistemplate AND NOT starts_with(datname, %s) ORDER BY datname
"""


def _postgresql(server: Server) -> tuple[list[Found], list[str]]:
    settings = engine_factory.connection_settings(server, server.maintenance_database or "postgres")
    password = engine_factory.server_password(server)
    with (
        translated(settings),
        connect(settings, password, application="covetbackup discovery") as connection,
    ):
        rows = connection.execute(_DATABASES, (PREFIX,)).fetchall()
    return [Found(name, size) for name, size in rows], []


_SCHEMAS = """
SELECT SCHEMA_NAME, (SELECT sum(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.TABLES
                     WHERE TABLE_SCHEMA = SCHEMA_NAME)
FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME
"""


def _mysql(server: Server) -> tuple[list[Found], list[str]]:
    settings, password = (
        engine_factory.mysql_settings(server),
        engine_factory.server_password(server),
    )
    with mysql.translated(settings), mysql.connect(settings, password) as connection:
        rows = connection.rows(_SCHEMAS)
    found = [
        Found(name, int(size or 0))
        for name, size in rows
        if name.lower() not in SERVERS_OWN and not name.startswith(mysql_scratch.PREFIX)
    ]
    return found, []


def _sqlite(server: Server) -> tuple[list[Found], list[str]]:
    folder = Path(server.folder)
    check_sqlite_folder(folder)
    try:
        seen = [_look_at(folder / name) for name in sorted(os.listdir(folder))]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DatabaseUnavailable(
            f"folder {server.folder} cannot be listed: {reason}",
            "is the path right, the disk mounted, and the folder readable by the worker's user?",
        ) from error
    found = [one for one in seen if isinstance(one, Found)]
    return found, [problem for problem in seen if isinstance(problem, str)]


def _look_at(path: Path) -> Found | str | None:
    """The database at `path`, why what looks like one cannot be used, or None for other files."""
    if path.is_symlink() or not path.is_file() or engine_factory.is_own_catalog(path):
        return None
    shown = path.name.encode(errors="backslashreplace").decode()[:200]
    try:
        with path.open("rb") as file:
            if file.read(len(_SQLITE_HEAD)) != _SQLITE_HEAD:
                return None
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        return f"{shown} cannot be read: {(error.strerror or str(error)).lower()}"
    if shown != path.name or len(path.name) > _NAME_LIMIT:
        return f"{shown} has a name that is not text in UTF-8"
    return Found(path.name, size)


_LISTINGS: dict[ServerKind, Callable[[Server], tuple[list[Found], list[str]]]] = {
    ServerKind.POSTGRESQL: _postgresql,
    ServerKind.MYSQL: _mysql,
    ServerKind.SQLITE: _sqlite,
}
