"""Tables made in a transaction of ours, from the statements that pg_restore would run.

What the tables need (types, functions, schemas, extensions) and is there already is used as it is;
tables, views and sequences that are there already are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg

from covetbackup.core.databases.checks import join_names
from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.dependencies import ANNOTATIONS, is_prerequisite
from covetbackup.core.databases.postgresql.archive.writer import head_of_archive
from covetbackup.core.databases.postgresql.restore.into_existing.table_checks import NAMED
from covetbackup.core.databases.postgresql.restore.loaders import memory_file, server_script
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import TargetNotEmpty
from covetbackup.core.stream.process import CommandSource

_THERE = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateSchema,
)
_EXTENSION = b"EXTENSION"
# Whoever locks tables that live sets limits of his own; the last is not known to servers before 17.
_TIMEOUTS = (b"lock_timeout", b"transaction_timeout")


def refuse_existing(connection: Connection, chosen: ResolvedSelection) -> None:
    """Raises `TargetNotEmpty` naming what is there of it under the names that it shall have."""
    stepping_aside = [old for old, _ in chosen.schemas_as]
    wanted = [*chosen.tables, *chosen.sequences]
    there = [label for (label,) in connection.execute(_PRESENT, (wanted, stepping_aside))]
    if there:
        raise TargetNotEmpty(
            f"there already: {join_names(there, NAMED)}",
            "bring only the rows, give the schema another name, or restore into a new database",
        )


def existing_prerequisites(connection: Connection, contents: TableOfContents) -> list[Entry]:
    """What tables need and the database has under the same name. Made on trial, as only the server
    knows when two functions or operators are the same; nothing of it stays."""
    there = []
    with connection.transaction(force_rollback=True):
        for entry in contents.entries:
            if is_prerequisite(entry) and _is_there(connection, entry):
                there.append(entry)
    return there


def exclude(contents: TableOfContents, there: Sequence[Entry]) -> TableOfContents:
    """`contents` without these entries, and what is said of them. A foreign key may need an
    extension for how it compares, and stays."""
    gone = {entry.dump_id for entry in there}
    return contents.filter(
        lambda entry: (
            entry.dump_id not in gone
            and not (entry.kind in ANNOTATIONS and gone.intersection(entry.dependencies))
        )
    )


def render_sql(
    pg_restore: Sequence[str], contents: TableOfContents, *, idle: Callable[[], None]
) -> bytes:
    """The statements of `contents`, as one text for the server."""
    pieces = []
    with memory_file("contents", head_of_archive(contents, {})) as file:
        with CommandSource([*pg_restore, "--file=-", file]) as chunks:
            for chunk in chunks:
                pieces.append(chunk)
                idle()
    text = server_script(b"".join(pieces))
    for setting in _TIMEOUTS:
        text = text.replace(b"\nSET %s = 0;" % setting, b"", 1)
    return text


def _is_there(connection: Connection, entry: Entry) -> bool:
    try:
        with connection.transaction():
            if entry.kind == _EXTENSION and _has_extension(connection, entry.text(entry.tag)):
                return True
            connection.execute(entry.definition)
    except _THERE:
        return True
    except psycopg.errors.QueryCanceled:
        raise  # nobody waits for the answer any more
    except psycopg.Error:
        pass  # it may need what is made later; if not, making it will tell
    return False


def _has_extension(connection: Connection, name: str) -> bool:
    query = "SELECT 1 FROM pg_extension WHERE extname = %s"
    return connection.execute(query, (name,)).fetchone() is not None


_PRESENT = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY (%s) AND n.nspname <> ALL (%s) ORDER BY 1
"""
