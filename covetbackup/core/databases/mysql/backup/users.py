"""The member `users.sql`: accounts and roles of a whole server with their grants.

It has what the backup account may see. A restore can create missing accounts from it
(`server.accounts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pymysql

from covetbackup.core.databases.mysql.server.connection import Connection, text_of
from covetbackup.core.stream.base import Source

_SERVERS_OWN = ("mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", "PUBLIC")


def users_source(connection: Connection, *, warn: Callable[[str], None]) -> Source:
    """Return a source of the script, read on entry.

    Without the privileges for it the script is only a comment, and `warn` is called.
    """

    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        if not connection.version.is_mariadb and connection.version.number >= (8, 0, 17):
            # Salts are any bytes: line ends too.
            connection.execute("SET SESSION print_identified_with_as_hex = ON")
        yield iter([_script(connection, warn)])

    return opened()


def _script(connection: Connection, warn: Callable[[str], None]) -> bytes:
    lines = [
        f"-- Accounts and grants of {connection.version}.",
        "-- Statements about accounts that exist already fail: run with --force.",
    ]
    try:
        accounts = _accounts(connection)
    except pymysql.err.Error as error:
        accounts = []
        warn(
            "users.sql holds no accounts: the backup account may not read them"
            f" (GRANT SELECT ON mysql.* lets it): {text_of(error)}"
        )
    lines += [f"CREATE ROLE {account.quoted};" for account in accounts if account.is_role]
    # First every account, then every grant: a grant may give one account's role to another.
    for account in accounts:
        if not account.is_role:
            lines += _answers(connection, f"SHOW CREATE USER {account.quoted}")
    for account in accounts:
        lines += _answers(connection, f"SHOW GRANTS FOR {account.quoted}")
    return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True, slots=True)
class _Account:
    quoted: str
    is_role: bool


def _answers(connection: Connection, question: str) -> list[str]:
    try:
        return [f"{line};" for line in connection.strings(question)]
    except pymysql.err.Error as error:
        # The server itself cannot: of a host name while it resolves none, of a plugin not loaded.
        return [f"-- {question}: {text_of(error)}"]


def _accounts(connection: Connection) -> list[_Account]:
    is_role = "is_role = 'Y'" if connection.version.is_mariadb else "FALSE"
    rows = connection.rows(f"SELECT User, Host, {is_role} FROM mysql.user ORDER BY 1, 2")
    literal = connection.literal
    return [
        _Account(literal(name) if role else f"{literal(name)}@{literal(host)}", bool(role))
        for name, host, role in rows
        if name not in _SERVERS_OWN
    ]
