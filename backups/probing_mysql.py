"""The test of a connection to a MySQL or MariaDB server; see `probing`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backups.connection_check import Finding, ServerCheck
from covetbackup.core.databases.mysql.backup import privileges
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.clients import choose_clients, find_clients
from covetbackup.core.databases.mysql.server.connection import Connection, connect, translated
from covetbackup.core.databases.mysql.server.settings import SERVERS_OWN, ConnectionSettings
from covetbackup.core.errors import ConfigurationError, Unreadable
from covetbackup.core.stream.secret import Secret

_LOOK_SECONDS = 2.5


@dataclass(frozen=True, slots=True)
class MysqlProbe:
    """Calling it connects. `wanted` says which databases are backed up."""

    settings: ConnectionSettings
    password: Secret | None
    wanted: Callable[[str], bool]

    def __call__(self) -> ServerCheck:
        with translated(self.settings), connect(self.settings, self.password) as connection:
            names = [
                name
                for name in connection.strings("SHOW DATABASES")
                if name.lower() not in SERVERS_OWN and not name.startswith(scratch.PREFIX)
            ]
            looks = list(self._looks([name for name in names if self.wanted(name)]))
            tool, missing = _tool(connection)
            findings = [*missing, *(finding for finding in looks if finding), *_rights(connection)]
            version = connection.version.text
        return ServerCheck(version, tool, len(names), len(looks), tuple(findings))

    def _looks(self, names: list[str]) -> Iterator[Finding | None]:
        """One for each database, as long as there is time: what in it cannot be read."""
        deadline = time.monotonic() + _LOOK_SECONDS
        for name in names:
            if time.monotonic() > deadline:
                return
            there = self.settings.on(name)
            with connect(there, self.password) as connection:
                yield _unreadable(connection, name)


def _unreadable(connection: Connection, name: str) -> Finding | None:
    try:
        privileges.refuse_unreadable(connection, list_tables(connection, name))
    except Unreadable as error:
        title = f"Database {name} cannot be read whole"
        return Finding(title, error.message, error.hint.partition(": ")[2].replace("; ", ";\n"))
    return None


def _tool(connection: Connection) -> tuple[str, list[Finding]]:
    try:
        return choose_clients(find_clients(), connection.version).version.text, []
    except ConfigurationError as error:
        return "", [Finding("Client programs are missing", error.message, error.hint)]


def _rights(connection: Connection) -> Iterator[Finding]:
    """What works only in part without a right on the whole server."""
    rights = privileges.granted(connection, scratch.PREFIX)
    account = privileges.account_of(connection)
    has_all = "ALL PRIVILEGES" in rights.everywhere
    if not has_all and "RELOAD" not in rights.everywhere:
        yield Finding(
            "Backups take one stream and count no rows",
            "the account may not hold writes off for the moment in which several snapshots open",
            f"GRANT RELOAD ON *.* TO {account};",
            is_blocking=False,
        )
    monitor = "BINLOG MONITOR" if connection.version.is_mariadb else "REPLICATION CLIENT"
    if not has_all and monitor not in rights.everywhere:
        yield Finding(
            "Backups do not know their place in the binary log",
            "the account may not ask for it; backups work without",
            f"GRANT {monitor} ON *.* TO {account};",
            is_blocking=False,
        )
    if not rights.here & {"ALL PRIVILEGES", "CREATE"}:
        yield Finding(
            "Restores to this server are not possible",
            "the account may not create databases; backups work without",
            f"GRANT ALL ON *.* TO {account};",
            is_blocking=False,
        )
