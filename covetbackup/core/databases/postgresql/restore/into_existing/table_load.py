"""Restore of tables that do not exist in the target yet, with their rows, indexes and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.adaptations import adapt_to_server
from covetbackup.core.databases.postgresql.archive.configuration import extensions_with_dependencies
from covetbackup.core.databases.postgresql.archive.contents import (
    TABLE_DATA,
    Entry,
    Section,
    TableOfContents,
)
from covetbackup.core.databases.postgresql.archive.dependencies import resolve_dependencies
from covetbackup.core.databases.postgresql.archive.recorded import EXTENSION, OF_RELATIONS
from covetbackup.core.databases.postgresql.archive.stages import restrict_to
from covetbackup.core.databases.postgresql.inventory.extension_facts import advance_sequences
from covetbackup.core.databases.postgresql.inventory.verify_counts import (
    RestoredInventory,
    unverified,
)
from covetbackup.core.databases.postgresql.restore import check_server
from covetbackup.core.databases.postgresql.restore.analyze import analyze_tables
from covetbackup.core.databases.postgresql.restore.into_existing import create_tables
from covetbackup.core.databases.postgresql.restore.into_existing.encoding import dump_encoding
from covetbackup.core.databases.postgresql.restore.into_existing.foreign_keys import (
    create_external_keys,
)
from covetbackup.core.databases.postgresql.restore.into_existing.requalify import Requalified
from covetbackup.core.databases.postgresql.restore.into_existing.schema_rename import SchemaRename
from covetbackup.core.databases.postgresql.restore.into_existing.statements import Statements
from covetbackup.core.databases.postgresql.restore.into_existing.transaction import RunInterruptible
from covetbackup.core.databases.postgresql.restore.refused_statements import (
    WAY_OUT,
    RefusedStatements,
)
from covetbackup.core.databases.postgresql.restore.superuser_objects import refuse_forbidden
from covetbackup.core.databases.postgresql.server.connection import Connection, major_of
from covetbackup.core.databases.selection import ResolvedSelection, Selection, renamed
from covetbackup.core.progress import Progress


class TableLoad:
    """An `InPlaceStep` of tables with their rows, indexes and keys.

    `pg_restore` is the program with the options that set owners, `owner` the role if it is one for
    all.
    """

    def __init__(
        self,
        connection: Connection,
        contents: TableOfContents,
        selection: Selection,
        *,
        pg_restore: Callable[[], Sequence[str]],
        refused: RefusedStatements,
        owner: str,
        run: RunInterruptible,
        progress: Progress,
    ) -> None:
        resolved_toc = resolve_dependencies(contents, selection)
        self._keys = resolved_toc.external_keys
        beyond = resolved_toc.selection.external_foreign_keys
        omitted = resolved_toc.selection.omitted_foreign_keys
        self.resolved = replace(
            resolved_toc.selection,
            omitted_foreign_keys=tuple(name for name in omitted if name not in beyond),
        )
        contents = contents.filter(lambda entry: entry.dump_id in resolved_toc.dump_ids)
        self.entries = {entry.dump_id: entry for entry in contents.data_entries}
        self._structure = contents.filter(lambda entry: not entry.has_data)
        labels = resolved_toc.selection.configuration
        self._configuration = [
            each for each in contents.entries if each.kind in OF_RELATIONS and each.name in labels
        ]
        self._created_extensions = set(resolved_toc.selection.extensions)
        self.notes: list[str] = []
        self.first: Sequence[int] = ()
        self._early: set[int] = set()
        self._connection = connection
        self._dump_encoding = partial(dump_encoding, connection, contents)
        self._refused = refused
        self._statements = Statements(
            connection,
            pg_restore,
            dump_encoding=self._dump_encoding,
            refused=refused,
            run=run,
            idle=partial(progress.advance, 0),
        )
        self._owner = owner
        self._run_interruptible = run
        self._progress = progress
        self._names: SchemaRename | Requalified | None = None

    def begin(self) -> None:
        """Check the target, and create what the rows of extensions depend on.

        Raises `TargetNotEmpty` for tables that exist.
        """
        if check_server.is_superuser(self._connection):
            self._progress.note(check_server.SUPERUSER_WARNING)
        create_tables.refuse_existing(self._connection, self.resolved)
        with self._dump_encoding():
            refuse_forbidden(
                self._connection,
                self._structure,
                skips_failing=self._refused.skips_failing,
                way_out=WAY_OUT,
            )
        self._structure, notes = adapt_to_server(self._structure, major_of(self._connection))
        self.notes += notes
        names = self._names = self._names_for(self.resolved)
        with self._dump_encoding():
            self._run_interruptible(names.apply)
            created = self._structure.map_entries(names.entry)
            existing = self._run_interruptible(
                partial(create_tables.existing_prerequisites, self._connection, created)
            )
        self._structure = create_tables.exclude(self._structure, existing)
        existing = [entry for entry in existing if entry.dump_id not in names.created]
        for entry in existing:
            kind = entry.kind.decode().lower()
            self._progress.note(f"used as it is there: {kind} {entry.name}")
        self._exclude_configuration(existing)
        self.entries = {dump_id: names.entry(one) for dump_id, one in self.entries.items()}
        rows = (each for each in self._configuration if each.kind == TABLE_DATA)
        self.first = [each.dump_id for each in rows if each.dump_id in self.entries]
        self._early = extensions_with_dependencies(self._structure) if self.first else set()
        self._run(restrict_to(self._structure, self._early))

    def create(self) -> None:
        """Create the tables, and set their sequences."""
        structure = self._structure.within(Section.PRE_DATA, Section.DATA)
        self._run(structure.filter(lambda entry: entry.dump_id not in self._early))

    def _names_for(self, resolved: ResolvedSelection) -> SchemaRename | Requalified:
        if Requalified.is_needed(self._connection, self._structure, resolved):
            return Requalified(self._connection, self._structure, resolved, owner=self._owner)
        return SchemaRename(self._connection, resolved.schemas_as, owner=self._owner)

    def _exclude_configuration(self, existing: Sequence[Entry]) -> None:
        """Leave the configuration of existing extensions as it is: other tables depend on it."""
        gone = {entry.dump_id for entry in existing if entry.kind == EXTENSION}
        self._created_extensions -= {entry.text(entry.tag) for entry in existing}
        left = {each.name for each in self._configuration if gone.intersection(each.dependencies)}
        for label in sorted(left):
            self.notes.append(
                f"left as it is there: {label}, of an extension that was there already; restore its"
                " rows alone if they are needed"
            )
        self.resolved = replace(self.resolved, configuration=self.resolved.configuration - left)
        self.entries = {
            dump_id: entry for dump_id, entry in self.entries.items() if entry.name not in left
        }
        self._structure = self._structure.filter(
            lambda entry: entry not in self._configuration or entry.name not in left
        )

    def finish(self, expected: Inventory, loaded: Mapping[str, int]) -> Inventory:
        self._run(self._structure.within(Section.POST_DATA))
        if self.resolved.with_data:
            self.notes += advance_sequences(self._connection, expected, self._created_extensions)
        assert self._names is not None
        now = self._names.before_restore(self.resolved)
        found = self._read_inventory(now.restrict(expected), loaded)
        # As late as possible: they lock the tables that they refer to until the commit.
        if self._keys:
            self._progress.phase("making keys to tables that are there")
        with self._dump_encoding():
            keys = [self._names.entry(key) for key in self._keys]
            for note in create_external_keys(self._connection, keys, self._run_interruptible):
                self._progress.note(note)
        # The statements of pg_restore may have set another role.
        self._connection.execute("RESET ROLE")
        self._names.restore()
        return found if now.schemas_as else renamed(found, self.resolved.schemas_as)

    def _read_inventory(self, expected: Inventory, loaded: Mapping[str, int]) -> Inventory:
        """Return the restored part of `expected`, and analyze its tables."""
        self._progress.phase("analyze")
        notes: list[str] = []
        restored = RestoredInventory(expected, loaded, notes.append)
        found: Inventory = self._run_interruptible(
            partial(restored.named, self._connection, _do_not_stop)
        )
        if text := unverified(expected, found):
            notes.append(text)
        labels = [one.label for one in expected.tables]
        analyze = partial(analyze_tables, labels=labels, note=notes.append)
        self._run_interruptible(partial(analyze, self._connection, _do_not_stop))
        for note in notes:
            self._progress.note(note)
        return found

    def _run(self, contents: TableOfContents) -> None:
        assert self._names is not None
        self._statements.run(contents, self._names.text)


def _do_not_stop() -> bool:
    # The statements are ended by cancelling them.
    return False
