"""Check whether a role that is no superuser may create what an archive holds.

The server itself is asked, before any rows are loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import psycopg

from covetbackup.core.databases.checks import join_names
from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.omitted import describe, is_omissible
from covetbackup.core.databases.postgresql.archive.privileged import privileged
from covetbackup.core.databases.postgresql.archive.recorded import EXTENSION
from covetbackup.core.databases.postgresql.restore.check_server import is_superuser
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import BadSetting

_NAMED = 20
_CONTEXT = (b"SCHEMA", b"PUBLICATION")


def refuse_forbidden(
    connection: Connection,
    contents: TableOfContents,
    *,
    skips_failing: bool = False,
    way_out: str = "",
) -> None:
    """Raise `BadSetting` naming what this role may not create of `contents`.

    `connection` is in the encoding of `contents`. With `skips_failing` it is raised only for an
    extension that rows need: all else can be left out. `way_out` says how to ask for that.
    """
    if is_superuser(connection):
        return
    refused = _refused(connection, contents)
    if skips_failing:
        refused = [entry for entry in refused if _is_needed(entry, contents)]
    if refused:
        names = join_names([describe(entry) for entry in refused], _NAMED)
        can_skip = way_out and not any(_is_needed(entry, contents) for entry in refused)
        hint = f"restore as a superuser; or {way_out}" if can_skip else "restore as a superuser"
        raise BadSetting(f"role {connection.info.user} may not create: {names}", hint)


def untrusted_extensions(connection: Connection, names: Collection[str]) -> list[str]:
    """Return those of `names` that this server lets only superusers create."""
    return [name for (name,) in connection.execute(_UNTRUSTED, (list(names),)).fetchall()]


def _refused(connection: Connection, contents: TableOfContents) -> list[Entry]:
    """Return what the server refuses to create in a trial that is rolled back."""
    tried = {entry.dump_id for entry in privileged(contents)}
    extensions = [entry for entry in contents.entries if entry.kind == EXTENSION]
    if untrusted_extensions(connection, [entry.text(entry.tag) for entry in extensions]):
        tried |= {entry.dump_id for entry in extensions}
    if not tried:
        return []
    with connection.transaction(force_rollback=True):
        entries = [e for e in contents.entries if e.dump_id in tried or e.kind in _CONTEXT]
        return [entry for entry in _forbidden(connection, entries) if entry.dump_id in tried]


def _forbidden(connection: Connection, entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        try:
            with connection.transaction():
                connection.execute(entry.definition)
        except psycopg.errors.InsufficientPrivilege:
            yield entry
        except psycopg.errors.QueryCanceled:
            raise
        except psycopg.Error:
            pass  # it may need what does not exist yet; if not, creating it will tell


def _is_needed(entry: Entry, contents: TableOfContents) -> bool:
    return entry.kind == EXTENSION and any(
        entry.dump_id in other.dependencies and not is_omissible(other)
        for other in contents.entries
    )


_UNTRUSTED = """
SELECT name FROM pg_available_extension_versions v JOIN pg_available_extensions e USING (name)
WHERE name = ANY (%s) AND name <> 'plpgsql' AND version = default_version
  AND superuser AND NOT trusted ORDER BY name
"""
