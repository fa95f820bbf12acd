"""Server settings that add a primary key to tables without one, or refuse such tables.

A table restored under them is not the one that was backed up, or cannot be created at all. So the
sessions of a restore set them off, and what cannot be set off is said before anything is written.
"""

from __future__ import annotations

import pymysql

from covetbackup.core.databases.mysql.backup.privileges import account_of
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.errors import BadSetting

_RULES = {
    "sql_require_primary_key": (8, 0, 13),
    "sql_generate_invisible_primary_key": (8, 0, 30),
}
"""Of MySQL, with the versions since which they are."""


def set_off(connection: Connection) -> str:
    """Allow tables without a primary key in this session.

    Returns the assignments that do so in other sessions, "" if none are needed. Raises `BadSetting`
    if this account may not.
    """
    found = []
    for name in _rules(connection):
        # Of this session it may be off already, and others begin with the global value.
        if not connection.value(f"SELECT @@global.{name} OR @@session.{name}"):
            continue
        try:
            connection.execute(f"SET SESSION {name} = OFF")
        except pymysql.err.Error as error:
            raise BadSetting(
                f"{name} is on, under which tables without a primary key do not come back as they"
                " were, and this account may not set it off for its session",
                "run as an administrator: GRANT SESSION_VARIABLES_ADMIN ON *.* TO"
                f" {account_of(connection)};",
            ) from error
        found.append(f"{name} = OFF")
    return ", ".join(found)


def _rules(connection: Connection) -> list[str]:
    version = connection.version
    if version.is_mariadb:
        return []
    return [name for name, since in _RULES.items() if version.number >= since]


def risk(connection: Connection) -> str:
    """Return in words which rule no session can switch off, or ""."""
    if not connection.version.is_mariadb:
        return ""
    forced = connection.rows("SHOW GLOBAL VARIABLES LIKE 'innodb_force_primary_key'")
    if not forced or forced[0][1] != "ON":
        return ""
    return (
        "innodb_force_primary_key is ON here: tables without a primary key cannot be created;"
        " SET GLOBAL innodb_force_primary_key = OFF for the time of the restore"
    )
