"""Extensions that can only be created after the rename, and their rows until then.

See `inventory.single_database`. Such an extension is created after the rename if the restored
database is the one that can have it; else it is left out, and its rows stay in a holding schema.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import (
    TABLE_DATA,
    Entry,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.copy_sql import column_names, copy_from_stdin
from covetbackup.core.databases.postgresql.archive.dependencies import ANNOTATIONS
from covetbackup.core.databases.postgresql.inventory.single_database import EXTENSIONS
from covetbackup.core.databases.postgresql.server.connection import Connection


def deferred_contents(contents: TableOfContents) -> TableOfContents:
    """Return the entries that have to wait for the rename.

    These are such extensions, all entries in their schemas or that annotate these, and what depends
    on any of them.
    """
    names = {entry.tag.decode() for entry in contents.entries if entry.kind == b"EXTENSION"}
    schemas = {EXTENSIONS[name].schema.encode() for name in names & EXTENSIONS.keys()}
    tags = {b"SCHEMA " + schema for schema in schemas}
    found = {
        entry.dump_id
        for entry in contents.entries
        if (entry.kind == b"EXTENSION" and entry.tag.decode() in EXTENSIONS)
        or entry.schema in schemas
        or (entry.kind in ANNOTATIONS and entry.tag in tags)
    }
    more = found
    while more:
        more = {
            entry.dump_id
            for entry in contents.entries
            if entry.dump_id not in found and not found.isdisjoint(entry.dependencies)
        }
        found |= more
    return contents.filter(lambda entry: entry.dump_id in found or entry.is_setting)


class DeferredExtensions:
    """The `contents` that wait for the rename, as `deferred_contents` has found them.

    Their rows are held in schemas of the database that `connect` reaches until `move_rows`.
    """

    def __init__(self, connect: Callable[[], Connection], contents: TableOfContents | None) -> None:
        self._connect = connect
        self._contents = contents
        self.entries = (
            [each for each in contents.entries if not each.is_setting] if contents else []
        )
        self.rows = [
            _loaded_into_holding(entry) for entry in self.entries if entry.kind == TABLE_DATA
        ]
        names = [entry.text(entry.tag) for entry in self.entries if entry.kind == b"EXTENSION"]
        self.extensions = [name for name in names if name in EXTENSIONS]
        self._schemas = sorted({EXTENSIONS[name].holding_schema for name in self.extensions})

    @property
    def contents(self) -> TableOfContents:
        """The table of contents of what waits."""
        assert self._contents is not None
        return self._contents

    def create_schemas(self) -> None:
        """Create the holding schemas with a table for each entry of rows; all columns are text."""
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
                        _holding_table(entry), sql.SQL(", ").join(columns)
                    )
                )

    def without(self, found: Inventory) -> Inventory:
        """Return `found` without the holding schemas and their tables."""
        if not self._schemas:
            return found
        objects = dict(found.objects or {})
        objects["schema"] = objects.get("schema", 0) - len(self._schemas)
        return replace(
            found,
            tables=tuple(table for table in found.tables if table.schema not in self._schemas),
            objects={kind: count for kind, count in objects.items() if count},
        )

    def move_rows(self) -> None:
        """Move the rows into the extensions' own tables, and drop the holding schemas."""
        with self._connect() as connection, connection.transaction():
            for entry in self.rows:
                connection.execute(_insert_statement(entry))
            for schema in self._schemas:
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def _loaded_into_holding(entry: Entry) -> Entry:
    schemas = {each.schema.encode(): each.holding_schema.encode() for each in EXTENSIONS.values()}
    return replace(entry, copy_statement=copy_from_stdin(entry, schemas))


def _holding_table(entry: Entry) -> sql.Identifier:
    schemas = {each.schema: each.holding_schema for each in EXTENSIONS.values()}
    return sql.Identifier(schemas[entry.text(entry.schema)], entry.text(entry.tag))


def _insert_statement(entry: Entry) -> sql.Composed:
    own = sql.Identifier(entry.text(entry.schema), entry.text(entry.tag))
    columns = [sql.Identifier(name) for name in column_names(entry)]
    return sql.SQL(
        "INSERT INTO {own} ({columns}) SELECT {values} FROM"
        " (SELECT jsonb_populate_record(NULL::{own}, to_jsonb(t)) AS r FROM {held} t) AS read"
    ).format(
        own=own,
        columns=sql.SQL(", ").join(columns),
        values=sql.SQL(", ").join(sql.SQL("(r).{}").format(column) for column in columns),
        held=_holding_table(entry),
    )
