"""Rows of a backup into tables that are there already, in one transaction: all of them or none.

Through the driver, not the client: what the dump program writes around the rows would commit them.
Keys to other tables are looked at when all rows are there, as their order is that of the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from covetbackup.core.databases.base import Piece, RestoreOptions
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.mysql import keys
from covetbackup.core.databases.mysql.choosing import rows_chosen
from covetbackup.core.databases.mysql.connection import Connection, connect, translated
from covetbackup.core.databases.mysql.inserting import StatementSink
from covetbackup.core.databases.mysql.partial import Contents
from covetbackup.core.databases.mysql.settings import ConnectionSettings
from covetbackup.core.databases.mysql.tables import list_tables
from covetbackup.core.databases.mysql.url import own_target
from covetbackup.core.databases.selection import Chosen, Selection
from covetbackup.core.errors import BadSetting, DatabaseError
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.secret import Secret

SESSION = (
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, unique_checks = 1",
    "START TRANSACTION",
)


class RowsRestore:
    """A `RestoreSession` whose scratch target is a transaction on the real one."""

    kept_as = ""

    def __init__(
        self,
        settings: ConnectionSettings,
        password: Secret | None,
        options: RestoreOptions,
        selection: Selection,
        progress: Progress,
    ) -> None:
        if options.replace or options.extra:
            raise BadSetting("rows go into tables that are there: nothing is replaced or owned")
        self.chosen: Chosen | None = None
        self._settings = own_target(settings, options.target)
        self._password = password
        self._expected = options.expected
        self._selection = selection
        self._progress = progress
        self._contents = Contents()
        self._loaded: dict[str, int] = {}
        self._tables: dict[Piece, str] = {}

    def __enter__(self) -> RowsRestore:
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

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[Piece]]:
        yield from self._contents.groups(members)
        listing = self._contents.listing
        self.chosen = rows_chosen(listing, self._selection)
        tables = sorted(self.chosen.tables)
        columns = {table: listing.structure.columns(table) for table in tables}
        with translated(self._settings):
            self._begin(columns)
        self._loaded = dict.fromkeys(tables, 0)
        # One after the other: there is one transaction.
        for table in tables:
            for piece in listing.rows(frozenset([table])):
                self._tables[piece] = table
                yield (piece,)
        with translated(self._settings):
            keys.refuse_broken(self._connection, self._settings.database, tables)

    def sink(self, piece: Piece, progress: Progress) -> Sink:
        table = self._tables.get(piece)
        if table is not None:
            return StatementSink(self._connection, lambda count: self._count(table, count))
        kept = self._contents.sink(piece)
        if kept is None:
            raise BadSetting(f"rows of {piece.member} were not asked for")
        return kept

    def inventory(self) -> Inventory:
        """The rows that were written, as the server counted them."""
        return Inventory(
            tables=tuple(TableFacts("", name, rows, True) for name, rows in self._loaded.items())
        )

    def commit(self) -> None:
        with translated(self._settings):
            self._connection.execute("COMMIT")

    def _begin(self, columns: Mapping[str, Sequence[str]]) -> None:
        database = self._settings.database
        _refuse_unfit(self._connection, database, columns)
        for line in keys.triggers_of(self._connection, database, list(columns)):
            self._progress.note(line)
        self._connection.use(database)
        for statement in SESSION:
            self._connection.execute(statement)

    def _count(self, table: str, rows: int) -> None:
        self._loaded[table] += rows


def _refuse_unfit(
    connection: Connection, database: str, columns: Mapping[str, Sequence[str]]
) -> None:
    """Raises `BadSetting` or `DatabaseError` for tables that are not those of the backup, or of
    which some rows would stay after a failure."""
    there = {table.name: table for table in list_tables(connection, database).tables}
    missing = sorted(columns.keys() - there.keys())
    if missing:
        raise BadSetting(
            f"{database!r} has no table {', '.join(missing[:20])}",
            "restore them with their structure under a new name",
        )
    unsafe = [name for name in columns if not there[name].transactional]
    if unsafe:
        raise BadSetting(
            f"of {', '.join(unsafe)} rows cannot be taken back: the engine has no transactions",
            "restore them under a new name and copy the rows from there",
        )
    historic = [name for name in columns if there[name].versioned]
    if historic:
        raise BadSetting(f"{', '.join(historic)} keeps a history, which rows alone would falsify")
    for name, expected in columns.items():
        found = connection.strings(_COLUMNS, [database, name])
        if found != list(expected):
            raise DatabaseError(
                f"table {name} has other columns than in the backup: {', '.join(found)}",
                f"in the backup it has {', '.join(expected)}",
            )


_COLUMNS = """
SELECT COLUMN_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION
"""
