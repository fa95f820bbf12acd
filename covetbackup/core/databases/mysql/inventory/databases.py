"""The databases of a MySQL or MariaDB server."""

from __future__ import annotations

from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.databases.mysql.server.settings import SERVERS_OWN
from covetbackup.core.databases.server import Discovered, FoundDatabase
from covetbackup.core.errors import LoginRefused

_SCHEMAS = """
SELECT SCHEMA_NAME, (SELECT sum(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.TABLES
                     WHERE TABLE_SCHEMA = SCHEMA_NAME)
FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME
"""


def discover(connection: Connection) -> Discovered:
    """Return the databases that the account may see.

    The server's own ones and those of unfinished restores are left out.
    """
    return Discovered(
        tuple(
            FoundDatabase(name, int(size or 0))
            for name, size in connection.rows(_SCHEMAS)
            if _is_a_users(name)
        )
    )


def database_names(connection: Connection) -> list[str]:
    """Return the names of the databases that `discover` would find; does not ask their sizes."""
    return [name for name in connection.strings("SHOW DATABASES") if _is_a_users(name)]


def refuse_absent(connection: Connection) -> None:
    """Raise `LoginRefused` if the database of `connection` does not exist, or is hidden from it."""
    query = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
    if connection.value(query, [connection.settings.database]) is None:
        raise LoginRefused(
            f"there is no database {connection.settings}",
            "is the name right, and may this account see it?",
        )


def _is_a_users(name: str) -> bool:
    return name.lower() not in SERVERS_OWN and not name.startswith(scratch.PREFIX)
