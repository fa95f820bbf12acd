"""Discovery of a server's databases, and the changes of the catalog by it.

A database that is found is included when the server's patterns say so; one that is gone stays in
the catalog with its backups. None is marked as gone unless the server answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from django.db import transaction
from django.utils import timezone

from backups import engine_factory
from backups.models import Database, DatabaseState, Server
from backups.models.source import Inclusion
from covetbackup.core.databases.retained import is_retained
from covetbackup.core.databases.server import Discovered, FoundDatabase
from covetbackup.core.errors import CovetError, DatabaseUnavailable


@dataclass(frozen=True, slots=True)
class Discovery:
    """The changes by a discovery: names, sorted. `unusable` are files left out, with the reason."""

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
        found = list_databases(server)
    except CovetError as error:
        note_failure(server, error)
        raise
    with transaction.atomic():
        # One discovery of a server at a time: two would add the same names.
        Server.objects.select_for_update().get(pk=server.pk)
        result = _apply(server, found, now=timezone.now())
        note_problem(server, "")
    return result


def note_problem(server: Server, problem: str, *, is_unreachable: bool = False) -> None:
    """Record the problem that a test of `server` found, "" if there is none."""
    server.problem, server.checked_at = problem, timezone.now()
    server.is_unreachable = is_unreachable
    server.save(update_fields=["problem", "checked_at", "is_unreachable"])


def note_failure(server: Server, error: CovetError) -> None:
    """Record `error` as the reason why `server` cannot be used."""
    note_problem(server, str(error), is_unreachable=isinstance(error, DatabaseUnavailable))


def list_databases(server: Server) -> Discovered:
    """Return the databases that `server` has now. Touches no row. Errors: `discover`."""
    return engine_factory.server_engine(server).discover()


def is_wanted(name: str, include: str, exclude: str) -> bool:
    """Return whether `name` matches a pattern of `include` (none: all do) and none of `exclude`.

    Patterns are lines with * and ? and [abc], and case-sensitive. A database that a restore
    replaced and retained is wanted only by a pattern that names it: it was backed up before.
    """
    included, excluded = _patterns(include), _patterns(exclude)
    takes_all = not included and not is_retained(name)
    if is_retained(name):
        included = [pattern for pattern in included if "_replaced_" in pattern]
    wanted = takes_all or any(fnmatchcase(name, pattern) for pattern in included)
    return wanted and not any(fnmatchcase(name, pattern) for pattern in excluded)


def is_included(row: Database, server: Server) -> bool:
    """Return whether `row` is backed up: a user's choice precedes the patterns of `server`."""
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


def _apply(server: Server, found: Discovered, *, now: datetime) -> Discovery:
    known = {database.name: database for database in server.databases.all()}
    present = {entry.name: entry for entry in found.databases}
    was_gone = {name for name, row in known.items() if row.state == DatabaseState.GONE}
    is_gone = known.keys() - present.keys()
    added = [_new(server, entry, now) for entry in found.databases if entry.name not in known]
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
        unusable=found.unusable,
    )


def _new(server: Server, entry: FoundDatabase, now: datetime) -> Database:
    row = Database(server=server, name=entry.name)
    _update(row, server, entry, now)
    return row


def _update(row: Database, server: Server, entry: FoundDatabase | None, now: datetime) -> None:
    row.is_included = is_included(row, server)
    if entry is None:
        row.state = DatabaseState.GONE
        return
    row.state, row.seen_at = DatabaseState.PRESENT, now
    if entry.size_bytes is not None:
        row.size_bytes = entry.size_bytes
