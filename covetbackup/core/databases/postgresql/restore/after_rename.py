"""Creation of deferred extensions once a restored database has its name.

The restore is committed by then, so nothing here fails it: what cannot be done becomes a note.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from covetbackup.core.databases.postgresql.archive.contents import Section
from covetbackup.core.databases.postgresql.archive.omitted import describe
from covetbackup.core.databases.postgresql.archive.recorded import OF_RELATIONS
from covetbackup.core.databases.postgresql.inventory.single_database import EXTENSIONS, database_of
from covetbackup.core.databases.postgresql.restore.parallel import ParallelRestore
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of
from covetbackup.core.errors import CovetError


def create_deferred(
    connection: Connection, target: str, load: ParallelRestore, *, leaves_out: bool
) -> Iterator[str]:
    """Create in database `target` what `load` has deferred, and yield a note if it is left out.

    That is so if the database cannot have it, if creating it fails, or if it `leaves_out` all.
    """
    names = load.deferred.extensions
    if not names:
        return
    reasons = [reason for name in names if (reason := why_not(connection, name, target))]
    if leaves_out:
        reasons = ["that was requested"]
    if not reasons:
        try:
            load.create_deferred()
            return
        except CovetError as error:
            reasons = [error.message]
        except psycopg.Error as error:
            reasons = [line_of(error)]
    why = "; ".join(reasons)
    yield f"left out: {_deferred_names(load)}, as {why}; {_holding_schema_notes(names)}"


def not_created(load: ParallelRestore) -> Iterator[str]:
    """Yield a note about deferred entries for a restore that was not renamed."""
    if load.deferred.extensions:
        yield f"not tried, as it is created after the rename: {_deferred_names(load)}"


def why_not(connection: Connection, name: str, target: str) -> str:
    """Return why the database `target` cannot have the extension `name`, "" if it can."""
    home = database_of(connection, name)
    if home is None or home == target:
        return ""
    if not home:
        return f"this server has no {name}, or does not preload it"
    return f"{name} can only be in database {home!r} of this server"


def _deferred_names(load: ParallelRestore) -> str:
    things = (each for each in load.deferred.entries if each.section is not Section.NONE)
    return ", ".join(describe(each) for each in things if each.kind not in OF_RELATIONS)


def _holding_schema_notes(names: list[str]) -> str:
    found = (EXTENSIONS[name] for name in names)
    return ", ".join(
        f"{each.content} lie in schema {each.holding_schema} of the restored database"
        for each in found
    )
