"""Foreign keys of added tables to tables that are not added, but may be there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from psycopg import errors

from covetbackup.core.databases.postgresql.archive.contents import Entry
from covetbackup.core.databases.postgresql.restore.into_existing.interruptible import Wait
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of

_LEFT_OUT = (errors.IntegrityError, errors.ProgrammingError, errors.LockNotAvailable)


def make(connection: Connection, keys: Sequence[Entry], wait: Wait) -> Iterator[str]:
    """Make those that can be; what became of each. One that the rows there do not allow is left
    out: without it the table is still worth having, and the others would have to go as well."""
    for key in keys:
        try:
            with connection.transaction():
                wait(partial(connection.execute, key.definition))
        except _LEFT_OUT as error:
            yield f"left out: foreign key {key.name}: {line_of(error)}"
        else:
            yield f"leads to a table that was there: foreign key {key.name}"
