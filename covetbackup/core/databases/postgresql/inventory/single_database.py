"""Extensions that exist in one database of a server only, the one that a setting names.

A restore fills a database of another name first, where such an extension cannot be. It is created
after the rename if the restored database is that one; else it is left out. Its rows lie in a schema
beside until they are in its own tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import TABLE_DATA, Contents, Entry
from covetbackup.core.databases.postgresql.archive.copy_sql import column_names, copy_into
from covetbackup.core.databases.postgresql.archive.dependencies import SAID_OF
from covetbackup.core.databases.postgresql.server.connection import Connection


@dataclass(frozen=True, slots=True)
class SingleDatabase:
    """`setting` names the database; what the extension has is in `schema`, whatever schema it was
    created in. `what` its rows are, for people."""

    setting: str
    schema: str
    what: str

    @property
    def aside(self) -> str:
        """The schema that its rows lie in while it is not there."""
        return f"left_out_{self.schema}"


EXTENSIONS = {"pg_cron": SingleDatabase("cron.database_name", "cron", "scheduled jobs")}


def database_of(connection: Connection, name: str) -> str | None:
    """Return the one database of this server that can have the extension `name`: "" where there is
    none, as it is not installed or not preloaded, None if this role may not know."""
    query = "SELECT count(*) FROM pg_available_extensions WHERE name = %s"
    if connection.execute(query, (name,)).fetchone() == (0,):
        return ""
    try:
        query = "SELECT coalesce(current_setting(%s, true), '')"
        row = connection.execute(query, (EXTENSIONS[name].setting,)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return "" if row is None else str(row[0])


def installable(expected: Inventory) -> Collection[str]:
    """Return the extensions of `expected` that any database can have."""
    return [name for name in expected.extensions if name not in EXTENSIONS]


def deferred(contents: Contents) -> Contents:
    """Return what of `contents` has to wait for such extensions: they, all that is in their schemas
    or said of these, and what needs any of it."""
    names = {entry.tag.decode() for entry in contents.entries if entry.kind == b"EXTENSION"}
    schemas = {EXTENSIONS[name].schema.encode() for name in names & EXTENSIONS.keys()}
    tags = {b"SCHEMA " + schema for schema in schemas}
    found = {
        entry.dump_id
        for entry in contents.entries
        if (entry.kind == b"EXTENSION" and entry.tag.decode() in EXTENSIONS)
        or entry.schema in schemas
        or (entry.kind in SAID_OF and entry.tag in tags)
    }
    more = found
    while more:
        more = {
            entry.dump_id
            for entry in contents.entries
            if entry.dump_id not in found and not found.isdisjoint(entry.needs)
        }
        found |= more
    return contents.kept(lambda entry: entry.dump_id in found or entry.is_setting)


class SchemaRename:
    """The schemas with the rows of such extensions, in the database that `connect` reaches."""

    def __init__(self, connect: Callable[[], Connection], contents: Contents | None) -> None:
        self._connect = connect
        self._contents = contents
        self.entries = (
            [each for each in contents.entries if not each.is_setting] if contents else []
        )
        self.rows = [_loaded_beside(entry) for entry in self.entries if entry.kind == TABLE_DATA]
        names = [entry.text(entry.tag) for entry in self.entries if entry.kind == b"EXTENSION"]
        self.extensions = [name for name in names if name in EXTENSIONS]
        self._schemas = sorted({EXTENSIONS[name].aside for name in self.extensions})

    @property
    def contents(self) -> Contents:
        """What waits, as `deferred` has found it."""
        assert self._contents is not None
        return self._contents

    def create(self) -> None:
        """Create tables for the rows, all of whose values are texts."""
        if not self._schemas:
            return
        with self._connect() as connection, connection.transaction():
            for schema in self._schemas:
                statement = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema))
                connection.execute(statement)
            for entry in self.rows:
                columns = (
                    sql.SQL("{} text").format(sql.Identifier(c)) for c in column_names(entry)
                )
                connection.execute(
                    sql.SQL("CREATE TABLE {} ({})").format(
                        _beside(entry), sql.SQL(", ").join(columns)
                    )
                )

    def without(self, found: Inventory) -> Inventory:
        """Return `found` as if the schemas were not there."""
        if not self._schemas:
            return found
        objects = dict(found.objects or {})
        objects["schema"] = objects.get("schema", 0) - len(self._schemas)
        return replace(
            found,
            tables=tuple(table for table in found.tables if table.schema not in self._schemas),
            objects={kind: count for kind, count in objects.items() if count},
        )

    def move(self) -> None:
        """Put the rows into the extensions' own tables, and drop the schemas."""
        with self._connect() as connection, connection.transaction():
            for entry in self.rows:
                connection.execute(_moved(entry))
            for schema in self._schemas:
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def _loaded_beside(entry: Entry) -> Entry:
    schemas = {each.schema.encode(): each.aside.encode() for each in EXTENSIONS.values()}
    return replace(entry, copy_statement=copy_into(entry, schemas))


def _beside(entry: Entry) -> sql.Identifier:
    schemas = {each.schema: each.aside for each in EXTENSIONS.values()}
    return sql.Identifier(schemas[entry.text(entry.schema)], entry.text(entry.tag))


def _moved(entry: Entry) -> sql.Composed:
    own = sql.Identifier(entry.text(entry.schema), entry.text(entry.tag))
    columns = [sql.Identifier(name) for name in column_names(entry)]
    return sql.SQL(
        "INSERT INTO {own} ({columns}) SELECT {values} FROM"
        " (SELECT jsonb_populate_record(NULL::{own}, to_jsonb(t)) AS r FROM {beside} t) AS read"
    ).format(
        own=own,
        columns=sql.SQL(", ").join(columns),
        values=sql.SQL(", ").join(sql.SQL("(r).{}").format(column) for column in columns),
        beside=_beside(entry),
    )
