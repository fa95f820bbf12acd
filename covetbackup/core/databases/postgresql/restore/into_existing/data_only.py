"""Restore of rows into existing tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from covetbackup.core.databases.checks import refuse_incompatible
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.copy_sql import copy_from_stdin
from covetbackup.core.databases.postgresql.archive.data_only import resolve_data_only
from covetbackup.core.databases.postgresql.restore.into_existing.foreign_keys import (
    DeferredForeignKeys,
    foreign_keys_between,
)
from covetbackup.core.databases.postgresql.restore.into_existing.table_checks import (
    incompatibilities,
    inspect_tables,
)
from covetbackup.core.databases.postgresql.restore.into_existing.transaction import RunInterruptible
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.selection import Selection, renamed


class DataOnlyLoad:
    """An `InPlaceStep` of rows and nothing else."""

    def __init__(
        self,
        connection: Connection,
        contents: TableOfContents,
        selection: Selection,
        *,
        run: RunInterruptible,
    ) -> None:
        resolved_toc = resolve_data_only(contents, selection)
        self.resolved = resolved_toc.selection
        codec = contents.codec
        names = {old.encode(codec): new.encode(codec) for old, new in selection.schemas_as}
        self.entries = {
            entry.dump_id: replace(entry, copy_statement=copy_from_stdin(entry, names))
            for entry in contents.data_entries
            if entry.dump_id in resolved_toc.dump_ids
        }
        self.notes: list[str] = []
        self.first: Sequence[int] = ()
        self._connection = connection
        self._run_interruptible = run
        self._keys = DeferredForeignKeys(connection, [])

    def begin(self) -> None:
        """Check the tables and defer their foreign keys.

        Raises `BadSetting` for tables that the rows do not fit.
        """
        # Triggers of the database then run with the settings that they always have.
        self._connection.execute("RESET search_path")
        self._connection.execute("RESET row_security")
        refuse_incompatible(
            [*incompatibilities(inspect_tables(self._connection, self.resolved.rows))]
        )
        self._keys = DeferredForeignKeys(
            self._connection, foreign_keys_between(self._connection, self.resolved.rows)
        )
        self._run_interruptible(self._keys.defer)

    def create(self) -> None:
        """Do nothing: all tables exist."""

    def finish(self, expected: Inventory, loaded: Mapping[str, int]) -> Inventory:
        self._run_interruptible(self._keys.check)
        return self._loaded_rows(expected, loaded)

    def _loaded_rows(self, expected: Inventory, loaded: Mapping[str, int]) -> Inventory:
        """Return what COPY counted: the tables may hold other rows too."""
        tables = replace(self.resolved, schemas_as=()).restrict(expected).tables
        found = Inventory(
            tables=tuple(
                TableFacts(one.schema, one.name, loaded.get(one.label), one.label in loaded)
                for one in tables
            )
        )
        return renamed(found, self.resolved.schemas_as)
