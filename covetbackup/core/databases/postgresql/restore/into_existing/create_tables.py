"""Creation of tables in the restore's own transaction, by the statements that pg_restore writes.

Prerequisites of the tables (types, functions, schemas, extensions) that exist are used as they are;
tables, views and sequences that exist are refused.
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

_EXISTS = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateSchema,
)
_EXTENSION = b"EXTENSION"
# This restore locks tables in use, and so keeps its own; servers before 17 do not know the last.
_TIMEOUTS = (b"lock_timeout", b"transaction_timeout")


def refuse_existing(connection: Connection, resolved: ResolvedSelection) -> None:
    """Raise `TargetNotEmpty` naming the selected tables and sequences that exist.

    Schemas that are renamed do not count: what exists under their old names is not in the way.
    """
    renamed = [old for old, _ in resolved.schemas_as]
    wanted = [*resolved.tables, *resolved.sequences]
    existing = [label for (label,) in connection.execute(_EXISTING, (wanted, renamed))]
    if existing:
        raise TargetNotEmpty(
            f"there already: {join_names(existing, NAMED)}",
            "restore only the rows, rename the schema, or restore into a new database",
        )


def existing_prerequisites(connection: Connection, contents: TableOfContents) -> list[Entry]:
    """Return the prerequisites in `contents` that the database has under the same name.

    Each is created in a trial that is rolled back, as only the server knows when two functions or
    operators are the same.
    """
    existing = []
    with connection.transaction(force_rollback=True):
        for entry in contents.entries:
            if is_prerequisite(entry) and _exists(connection, entry):
                existing.append(entry)
    return existing


def exclude(contents: TableOfContents, existing: Sequence[Entry]) -> TableOfContents:
    """Return `contents` without the entries of `existing` and their annotations.

    A foreign key may depend on an extension for its operators, and stays.
    """
    gone = {entry.dump_id for entry in existing}
    return contents.filter(
        lambda entry: (
            entry.dump_id not in gone
            and not (entry.kind in ANNOTATIONS and gone.intersection(entry.dependencies))
        )
    )


def render_sql(
    pg_restore: Sequence[str], contents: TableOfContents, *, idle: Callable[[], None]
) -> bytes:
    """Return the statements that create `contents`, as one text for the server.

    `pg_restore` is its command line; `idle` is called while it runs.
    """
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


def _exists(connection: Connection, entry: Entry) -> bool:
    try:
        with connection.transaction():
            if entry.kind == _EXTENSION and _has_extension(connection, entry.text(entry.tag)):
                return True
            connection.execute(entry.definition)
    except _EXISTS:
        return True
    except psycopg.errors.QueryCanceled:
        raise  # the restore was cancelled
    except psycopg.Error:
        pass  # it may depend on what is created later; if not, creating it will tell
    return False


def _has_extension(connection: Connection, name: str) -> bool:
    query = "SELECT 1 FROM pg_extension WHERE extname = %s"
    return connection.execute(query, (name,)).fetchone() is not None


_EXISTING = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY (%s) AND n.nspname <> ALL (%s) ORDER BY 1
"""
