"""The test of a connection to a MySQL or MariaDB server: what can be backed up, what to grant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.mysql.backup import privileges
from covetbackup.core.databases.mysql.inventory.databases import database_names
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.clients import MysqlClients
from covetbackup.core.databases.mysql.server.connection import Connection, connect, translated
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.server import ServerProbe
from covetbackup.core.errors import ConfigurationError, Unreadable
from covetbackup.core.stream.secret import Secret

_INSPECT_SECONDS = 2.5
"""How long databases are inspected one by one; a server with hundreds is inspected in part."""


def probe_server(
    settings: MysqlSettings,
    password: Secret | None,
    *,
    select: Callable[[Version], MysqlClients],
    is_included: Callable[[str], bool],
) -> ServerProbe:
    """Return what a test of the server finds.

    `select` returns the client programs for a version, `is_included` whether a database is backed
    up. Raises `DatabaseUnavailable`.
    """
    with translated(settings), connect(settings, password) as connection:
        names = database_names(connection)
        inspected = list(
            _inspect(settings, password, [name for name in names if is_included(name)])
        )
        tool, missing = _tool(connection, select)
        unreadable = [check for check in inspected if check]
        checks = (*missing, *unreadable, *_privilege_checks(connection))
        return ServerProbe(connection.version.text, tool, len(names), len(inspected), checks)


def _inspect(
    settings: MysqlSettings, password: Secret | None, names: Sequence[str]
) -> Iterator[Check | None]:
    """Yield for each database, as long as there is time, what in it cannot be read."""
    deadline = time.monotonic() + _INSPECT_SECONDS
    for name in names:
        if time.monotonic() > deadline:
            return
        with connect(settings.on(name), password) as connection:
            yield _unreadable(connection, name)


def _unreadable(connection: Connection, name: str) -> Check | None:
    try:
        privileges.refuse_unreadable(connection, list_tables(connection, name))
    except Unreadable as error:
        title = f"Database {name} cannot be read whole"
        fix = error.hint.partition(": ")[2].replace("; ", ";\n")
        return Check(Level.FAIL, title, error.message, fix)
    return None


def _tool(
    connection: Connection, select: Callable[[Version], MysqlClients]
) -> tuple[str, list[Check]]:
    try:
        return select(connection.version).version.text, []
    except ConfigurationError as error:
        title = "Client programs are missing"
        return "", [Check(Level.FAIL, title, error.message, error.hint)]


def _privilege_checks(connection: Connection) -> Iterator[Check]:
    """Yield what works only in part without a privilege on the whole server."""
    rights = privileges.granted(connection, scratch.PREFIX)
    account = privileges.account_of(connection)
    has_all = "ALL PRIVILEGES" in rights.everywhere
    if not has_all and "RELOAD" not in rights.everywhere:
        yield Check(
            Level.WARNING,
            "Backups take one stream and count no rows",
            "the account may not hold writes off for the moment in which several snapshots open",
            f"GRANT RELOAD ON *.* TO {account};",
        )
    monitor = "BINLOG MONITOR" if connection.version.is_mariadb else "REPLICATION CLIENT"
    if not has_all and monitor not in rights.everywhere:
        yield Check(
            Level.WARNING,
            "Backups do not know their place in the binary log",
            "the account may not ask for it; backups work without",
            f"GRANT {monitor} ON *.* TO {account};",
        )
    if not rights.here & {"ALL PRIVILEGES", "CREATE"}:
        yield Check(
            Level.WARNING,
            "Restores to this server are not possible",
            "the account may not create databases; backups work without",
            f"GRANT ALL ON *.* TO {account};",
        )
