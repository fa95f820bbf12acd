"""The checks of an existing MySQL or MariaDB database before rows are restored into its tables.

What a restore itself refuses is checked by the same functions, so that a check and the restore
after it cannot disagree.

No server can be asked afterwards whether rows were committed. These servers keep no state of
transactions that are over. A prepared XA transaction would tell, and hold the locks of every row
until an administrator ends it, restarts included; a GTID of our own would stay in the history of
each replica for ever; a table of ours does not belong into a database of others. So a job that was
stopped at the commit is not tried again, and says that it has to be checked by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from covetbackup.core.databases.checks import (
    Check,
    Level,
    counted,
    existing_rows,
    failed,
    join_names,
)
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.backup.privileges import account_of
from covetbackup.core.databases.mysql.inventory import requirements
from covetbackup.core.databases.mysql.restore import check_server
from covetbackup.core.databases.mysql.restore.compatibility import (
    answer,
    difference,
    disk_space,
    taken_from,
)
from covetbackup.core.databases.mysql.restore.into_existing import foreign_keys, table_checks
from covetbackup.core.databases.mysql.server.connection import (
    Connection,
    quoted,
    server_connection,
)
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.restore import OwnerPolicy, PlannedRestore, RestoreRequest
from covetbackup.core.databases.selection import TableData
from covetbackup.core.errors import CovetError, as_sentence
from covetbackup.core.stream.secret import Secret

_NOBODY = RestoreRequest(owner=OwnerPolicy.NONE.value)
# ALTER TABLE holds up all other sessions: less long than the checks of the server may take.
_LOCK_TIMEOUT = "SET SESSION lock_wait_timeout = 5"
_DATABASE = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"


def check_existing_database(
    settings: MysqlSettings, password: Secret | None, planned: PlannedRestore
) -> list[Check]:
    """Return the checks of the tables that get rows.

    A server that does not answer is a check that failed.
    """
    try:
        with server_connection(settings, password) as connection:
            connection.execute(_LOCK_TIMEOUT)
            return [
                answer(connection),
                Check(Level.PASS, "Version", taken_from(planned)),
                *_fitness(connection, planned),
                disk_space(planned.plain_bytes),
            ]
    except CovetError as error:
        return [failed("Target server", error)]


def _fitness(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    name = planned.request.database
    if connection.value(_DATABASE, [name]) is None:
        detail = f"{account_of(connection)} sees no database called {name}."
        fix = f"Use another one, or GRANT SELECT, INSERT ON {quoted(name)}.* to it."
        yield Check(Level.FAIL, "Database", detail, fix)
        return
    yield Check(Level.PASS, "Database", f"{name} exists.")
    alone = Inventory(settings=planned.expected.settings)
    for risk in check_server.risks(connection, alone, _NOBODY):
        yield difference(risk)
    if planned.resolved is None:
        detail = "The selection could not be read from the backup."
        yield Check(Level.UNKNOWN, "Tables", detail, "See the checks of the backup.")
    else:
        yield from _rows(
            connection, planned.request.database, planned.resolved.rows, planned.expected
        )


def _rows(
    connection: Connection,
    database: str,
    rows: tuple[TableData, ...],
    expected: Inventory,
) -> Iterator[Check]:
    tables = [one.name for one in rows]
    found = table_checks.inspect_tables(connection, database, rows)
    between = foreign_keys.keys_of(connection, database, tables)
    incompatibilities = [
        *requirements.unmet(connection, requirements.of_rows(expected), tables),
        *table_checks.incompatibilities(connection, database, found),
        *table_checks.unreadable(connection, database, between),
    ]
    for one in incompatibilities:
        yield Check(Level.FAIL, one.title, as_sentence(one.detail), as_sentence(one.fix))
    if not incompatibilities:
        detail = f"All exist and accept the rows: {counted(len(found), 'table')}."
        yield Check(Level.PASS, "Tables", detail)
    yield from _definitions(found)
    yield existing_rows(
        join_names(table_checks.non_empty(connection, database, found), table_checks.NAMED)
    )
    yield from _triggers(connection, database, tables, between)
    yield from _keys(database, tables, between)


def _definitions(found: list[table_checks.MysqlTargetTable]) -> Iterator[Check]:
    there = [place for place in found if place.columns == place.rows.columns]
    other = [f"{place.rows.name}.{name}" for place in there for name in place.differences]
    if other:
        detail = (
            f"Not known to be defined as in the backup: {join_names(other, table_checks.NAMED)}."
        )
        fix = "The first value that does not fit stops the restore, and nothing is added."
        yield Check(Level.WARNING, "Types", detail, fix)


def _triggers(
    connection: Connection,
    database: str,
    tables: list[str],
    between: list[foreign_keys.MysqlForeignKey],
) -> Iterator[Check]:
    found = [
        f"{table} {trigger}"
        for table, trigger in foreign_keys.triggers_of(connection, database, tables)
    ]
    unordered = foreign_keys.parents_first(database, tables, between) is None
    broken = f" {as_sentence(foreign_keys.UNCHECKED)}" if unordered else ""
    if found:
        detail = f"They fire for each added row: {join_names(found, table_checks.NAMED)}.{broken}"
        fix = "Drop them first to prevent that, and create them again afterwards."
        yield Check(Level.WARNING, "Triggers", detail, fix)
    elif not foreign_keys.may_see_triggers(connection, database):
        account = account_of(connection)
        detail = (
            f"{account} may not see triggers. Those of the tables fire for each added row.{broken}"
        )
        fix = f"GRANT TRIGGER ON {quoted(database)}.* TO {account};"
        yield Check(Level.UNKNOWN, "Triggers", detail, fix)


def _keys(
    database: str, tables: list[str], between: list[foreign_keys.MysqlForeignKey]
) -> Iterator[Check]:
    """Those that lead to tables whose rows do not come along."""
    out = [
        f"{key.table}.{key.name} to {key.to}"
        for key in between
        if key.place != database or key.to not in tables
    ]
    if out:
        detail = f"The referenced rows must exist already: {join_names(out, table_checks.NAMED)}."
        fix = "Select the other tables as well if their rows are missing."
        yield Check(Level.WARNING, "Foreign keys", detail, fix)
