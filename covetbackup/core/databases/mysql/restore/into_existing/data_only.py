"""Rows of a backup into tables that are there already, in one transaction: all of them or none.

Through the driver, not the client: what the dump program writes around the rows would commit them.
Keys to other tables are looked at when all rows are there, as their order is that of the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.checks import refuse_incompatible
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.mysql.archive.selection import resolve_rows
from covetbackup.core.databases.mysql.inventory import requirements
from covetbackup.core.databases.mysql.restore import check_constraints
from covetbackup.core.databases.mysql.restore.into_existing import foreign_keys, table_checks
from covetbackup.core.databases.mysql.restore.into_existing.foreign_keys import MysqlForeignKey
from covetbackup.core.databases.mysql.restore.into_existing.table_checks import MysqlTargetTable
from covetbackup.core.databases.mysql.restore.selective import Contents
from covetbackup.core.databases.mysql.restore.statement_sink import StatementSink
from covetbackup.core.databases.mysql.server.background import in_background
from covetbackup.core.databases.mysql.server.connection import connect, translated
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import ResolvedSelection, Selection, TableData
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.secret import Secret

LOCK_SECONDS = 60
"""The default is a day: behind an ALTER of a table a restore could not be cancelled meanwhile."""

SILENCE_SECONDS = 900
"""After that much of it the server rolls back and releases the locks: the connection may be lost.

A storage that does not answer is given up before, after 8 tries of 60 s each and a minute between.
"""

_AS_DUMPED = "NO_AUTO_VALUE_ON_ZERO"
_STRICT = f"{_AS_DUMPED},STRICT_ALL_TABLES,ALLOW_INVALID_DATES"
"""For tables that are defined otherwise than in the backup: else a value that does not fit would
be cut to what does. Others take what they held, of which this mode would refuse some."""

SESSION = (
    f"SET SESSION sql_mode = '{_AS_DUMPED}', foreign_key_checks = 0, unique_checks = 1",
    "START TRANSACTION",
)


class DataOnlyRestore:
    """A `RestoreSession` whose scratch target is a transaction on the real one."""

    retained_as = ""

    def __init__(
        self,
        settings: MysqlSettings,
        password: Secret | None,
        request: RestoreRequest,
        selection: Selection,
        expected: Inventory,
        progress: Progress,
    ) -> None:
        if request.replace or request.sets_options:
            raise BadSetting("rows go into tables that are there: nothing is replaced or owned")
        self.resolved: ResolvedSelection | None = None
        self._settings = settings.on(request.database or settings.database)
        self._recorded = requirements.of_rows(expected)
        self._password = password
        self._selection = selection
        self._progress = progress
        self._contents = Contents()
        self._order: list[str] = []
        self._loaded: dict[str, int] = {}
        self._tables: dict[MemberRange, str] = {}

    def __enter__(self) -> DataOnlyRestore:
        self._connection = connect(self._settings, self._password)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()  # without a commit this undoes everything
        self._contents.close()

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        yield from self._contents.groups(members)
        listing = self._contents.listing
        self.resolved = resolve_rows(listing, self._selection)
        with translated(self._settings):
            found = self._begin(self.resolved.rows)
        self._loaded = dict.fromkeys(sorted(found), 0)
        # One after the other: there is one transaction.
        for table in self._order:
            self._begin_table(found[table])
            for piece in listing.rows(frozenset([table])):
                self._tables[piece] = table
                yield (piece,)
        with translated(self._settings):
            self._refuse_broken()

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        table = self._tables.get(piece)
        if table is not None:
            return StatementSink(self._connection, lambda count: self._count(table, count))
        kept = self._contents.sink(piece)
        if kept is None:
            raise BadSetting(f"rows of {piece.member} were not asked for")
        return kept

    def inventory(self) -> Inventory:
        """Return the numbers of rows that were written, as the server counted them."""
        return Inventory(
            tables=tuple(TableFacts("", name, rows, True) for name, rows in self._loaded.items())
        )

    def commit(self) -> None:
        with translated(self._settings):
            self._connection.execute("COMMIT")

    def _begin(self, rows: Sequence[TableData]) -> dict[str, MysqlTargetTable]:
        database, tables = self._settings.database, [one.name for one in rows]
        connection = self._connection
        connection.execute(
            f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, wait_timeout = {SILENCE_SECONDS}"
        )
        found = table_checks.inspect_tables(connection, database, rows)
        between = foreign_keys.keys_of(connection, database, tables)
        incompatibilities = [
            *table_checks.incompatibilities(connection, database, found),
            *table_checks.unreadable(connection, database, between),
        ]
        refuse_incompatible(
            [*requirements.unmet(connection, self._recorded, tables), *incompatibilities]
        )
        connection.use(database)
        for statement in SESSION:
            connection.execute(statement)
        self._order = sorted(tables)
        self._report(foreign_keys.triggers_of(connection, database, tables), between)
        return {place.rows.name: place for place in found}

    def _report(
        self, triggers: Sequence[tuple[str, str]], between: Sequence[MysqlForeignKey]
    ) -> None:
        """What triggers write is looked at by nobody afterwards: so keys are kept meanwhile, if an
        order of the tables allows that."""
        for table, trigger in triggers:
            self._progress.note(f"trigger {trigger} of {table} runs for every row")
        if not triggers and foreign_keys.may_see_triggers(
            self._connection, self._settings.database
        ):
            return
        order = foreign_keys.parents_first(self._settings.database, self._order, between)
        if order is None:
            self._progress.note(foreign_keys.UNCHECKED)
        else:
            self._order = order
            self._connection.execute("SET SESSION foreign_key_checks = 1")

    def _refuse_broken(self) -> None:
        """Check in the background: it reads all of the tables, and waits for deletes."""
        connection, database, tables = self._connection, self._settings.database, self._order

        def read(stop: Callable[[], bool]) -> list[str]:
            foreign_keys.refuse_broken(connection, database, tables, stop=stop)
            return check_constraints.broken(connection, database, tables=tables, stop=stop)

        running = in_background(connection, self._password, read)
        try:
            broken = running.result(on_wait=lambda: self._progress.advance(0))
        finally:
            running.stop()
        if broken:
            self._progress.note(check_constraints.note_of(broken))

    def _begin_table(self, place: MysqlTargetTable) -> None:
        mode = _AS_DUMPED if place.is_as_in_backup else _STRICT
        settings = f"sql_mode = '{mode}'"
        if self._connection.version.is_mariadb:
            checked = "0" if place.has_checks_of_backup else "1"
            settings += f", check_constraint_checks = {checked}"
        with translated(self._settings):
            self._connection.execute(f"SET SESSION {settings}")

    def _count(self, table: str, rows: int) -> None:
        self._loaded[table] += rows
