"""Foreign keys of added tables to tables that are not added, but may be there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from psycopg import errors

from covetbackup.core.databases.postgresql.adding.waiting import Wait
from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.postgresql.toc.closure import FOREIGN_KEY, TABLES
from covetbackup.core.databases.postgresql.toc.values import Contents, Entry

_LEFT_OUT = (errors.IntegrityError, errors.ProgrammingError, errors.LockNotAvailable)


def outgoing(contents: Contents, added: Collection[int]) -> list[Entry]:
    """The keys of the tables with these dump ids that are not among them."""
    entries = {entry.dump_id: entry for entry in contents.entries}
    return [
        entry
        for entry in contents.entries
        if entry.kind == FOREIGN_KEY
        and entry.dump_id not in added
        and any(_is_of(entry, entries[need]) for need in entry.needs if need in added)
    ]


def make(connection: Connection, keys: Sequence[Entry], wait: Wait) -> Iterator[str]:
    """Make those that can be; what became of each. One that the rows there do not allow is left
    out: without it the table is still worth having, and the others would have to go as well."""
    for key in keys:
        try:
            with connection.transaction():
                wait(partial(connection.execute, key.definition))
        except _LEFT_OUT as error:
            yield f"left out: foreign key {key.name}: {str(error).splitlines()[0]}"
        else:
            yield f"leads to a table that was there: foreign key {key.name}"


def _is_of(key: Entry, table: Entry) -> bool:
    """The tag of a key is the name of its table, a space, its own."""
    return (
        table.kind in TABLES and table.schema == key.schema and key.tag.startswith(table.tag + b" ")
    )
