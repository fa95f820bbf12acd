"""Checks of the tables that rows are to go into: whether the rows are compatible with them.

Only catalogs are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.checks import Incompatibility, join_names
from covetbackup.core.databases.mysql.archive.tables import checks_in, computed_in, definitions_in
from covetbackup.core.databases.mysql.backup.privileges import account_of
from covetbackup.core.databases.mysql.inventory.tables import Table, list_tables
from covetbackup.core.databases.mysql.restore.into_existing.foreign_keys import MysqlForeignKey
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted
from covetbackup.core.databases.selection import TableData

NAMED = 20
_DENIED = (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR)


@dataclass(frozen=True, slots=True)
class MysqlTargetTable:
    """The target's table for rows of the backup.

    For a table that does not exist all is empty. `definition` is the statement that creates it, ""
    if the account may not see it.
    """

    rows: TableData
    table: Table | None = None
    columns: tuple[str, ...] = ()
    definition: str = ""
    may_insert: bool = False

    @property
    def is_as_in_backup(self) -> bool:
        """Whether every value fits as it fitted there."""
        return definitions_in(self.definition) == definitions_in(self.rows.definition)

    @property
    def has_checks_of_backup(self) -> bool:
        """Whether no row that was accepted there is refused here for a CHECK constraint alone."""
        mine, theirs = checks_in(self.definition), checks_in(self.rows.definition)
        return self.is_as_in_backup and mine == theirs

    @property
    def differences(self) -> list[str]:
        """Columns that are defined otherwise than in the backup."""
        here, there = definitions_in(self.definition), definitions_in(self.rows.definition)
        return [name for name in self.columns if here.get(name) != there.get(name)]


def inspect_tables(
    connection: Connection, database: str, rows: Sequence[TableData]
) -> list[MysqlTargetTable]:
    """Return the target's table for each of `rows`."""
    there = {table.name: table for table in list_tables(connection, database).tables}
    return [
        _place(connection, database, one, there[one.name])
        if one.name in there
        else MysqlTargetTable(one)
        for one in rows
    ]


def incompatibilities(
    connection: Connection, database: str, places: Sequence[MysqlTargetTable]
) -> Iterator[Incompatibility]:
    """Yield each kind of incompatibility, naming the tables."""
    account = account_of(connection)
    there = [place for place in places if place.table is not None]
    closed = [place.rows.name for place in there if not place.may_insert]
    seen = [place for place in there if place.may_insert]  # else columns may be hidden
    for title, meaning, bad, fix in (
        (
            "Tables",
            f"tables that {database!r} does not have, as far as {account} can see",
            [place.rows.name for place in places if place.table is None],
            "create them first, or restore under a new name",
        ),
        (
            "Tables",
            "tables of which rows cannot be taken back, as their engine has no transactions",
            [place.rows.name for place in there if place.table and not place.table.transactional],
            "restore them under a new name and copy the rows from there",
        ),
        (
            "Tables",
            "tables that keep a history, which rows alone would falsify",
            [place.rows.name for place in there if place.table and place.table.versioned],
            "restore them under a new name",
        ),
        (
            "Privileges",
            f"tables that {account} may not insert into",
            closed,
            _grants("INSERT", database, closed, account),
        ),
        (
            "Columns",
            "tables with other columns than in the backup",
            [_columns(place) for place in seen if place.columns != place.rows.columns],
            "give the tables the columns of the backup, in its order, or restore under a new name",
        ),
        (
            "Columns",
            "columns that are computed in the backup and not there, or the other way round",
            [name for place in seen for name in _computed(place)],
            "define them as in the backup, or restore under a new name",
        ),
    ):
        if bad:
            yield Incompatibility(title, f"{meaning}: {join_names(bad, NAMED)}", fix)


def unreadable(
    connection: Connection, database: str, keys: Sequence[MysqlForeignKey]
) -> Iterator[Incompatibility]:
    """Yield an incompatibility for foreign keys that cannot be checked.

    A check has to read the columns on either side.
    """
    closed = [key for key in keys if not _may_read(connection, database, key)]
    if closed:
        account = account_of(connection)
        sides = [f"{quoted(database)}.{quoted(key.table)}" for key in closed]
        sides += [f"{quoted(key.place)}.{quoted(key.to)}" for key in closed]
        grants = [f"GRANT SELECT ON {side} TO {account};" for side in dict.fromkeys(sides)]
        named = join_names([f"{key.table}.{key.name}" for key in closed], NAMED)
        detail = f"foreign keys that {account} may not check: {named}"
        yield Incompatibility("Privileges", detail, " ".join(grants[:NAMED]))


def non_empty(
    connection: Connection, database: str, places: Sequence[MysqlTargetTable]
) -> list[str]:
    """Return the tables that hold rows, as far as this account may see that."""
    held = []
    for place in places:
        query = f"SELECT 1 FROM {quoted(database)}.{quoted(place.rows.name)} LIMIT 1"
        if place.table is not None and _rows(connection, query):
            held.append(place.rows.name)
    return held


def _place(
    connection: Connection, database: str, rows: TableData, table: Table
) -> MysqlTargetTable:
    name = f"{quoted(database)}.{quoted(table.name)}"
    shown = _rows(connection, f"SHOW CREATE TABLE {name}")
    return MysqlTargetTable(
        rows,
        table,
        columns=tuple(connection.strings(_COLUMNS, [database, table.name])),
        definition=shown[0][1] if shown else "",
        # No catalog knows what roles and patterns of names come to. This inserts nothing.
        may_insert=_rows(connection, f"EXPLAIN INSERT INTO {name} () VALUES ()") is not None,
    )


def _rows(connection: Connection, query: str) -> list[tuple[str, ...]] | None:
    """None if this account may not ask."""
    try:
        return connection.rows(query)
    except pymysql.err.Error as error:
        if code_of(error) in _DENIED:
            return None
        raise


def _may_read(connection: Connection, database: str, key: MysqlForeignKey) -> bool:
    mine = ", ".join(quoted(column) for column, _ in key.columns)
    theirs = ", ".join(quoted(other) for _, other in key.columns)
    queries = (
        f"SELECT {mine} FROM {quoted(database)}.{quoted(key.table)} LIMIT 0",
        f"SELECT {theirs} FROM {quoted(key.place)}.{quoted(key.to)} LIMIT 0",
    )
    return all(_rows(connection, query) is not None for query in queries)


def _grants(right: str, database: str, tables: Sequence[str], account: str) -> str:
    names = [f"{quoted(database)}.{quoted(table)}" for table in tables[:NAMED]]
    return " ".join(f"GRANT {right} ON {name} TO {account};" for name in names)


def _columns(place: MysqlTargetTable) -> str:
    here, wanted = ", ".join(place.columns), ", ".join(place.rows.columns)
    return f"{place.rows.name} ({here} instead of {wanted})"


def _computed(place: MysqlTargetTable) -> list[str]:
    if not place.definition:
        return []  # then what does not fit is refused with the first row
    other = computed_in(place.definition) ^ computed_in(place.rows.definition)
    return [f"{place.rows.name}.{name}" for name in place.columns if name in other]


_COLUMNS = """
SELECT COLUMN_NAME FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION
"""
