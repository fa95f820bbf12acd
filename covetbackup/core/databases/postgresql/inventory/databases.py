"""Discovery of the databases of a PostgreSQL server."""

from __future__ import annotations

from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.server import Discovered, FoundDatabase

_DATABASES = """
SELECT datname,
       CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END
FROM pg_database
WHERE datallowconn AND NOT datistemplate AND NOT starts_with(datname, %s) ORDER BY datname
"""


def discover(connection: Connection) -> Discovered:
    """Return the databases that can be connected to.

    Templates and those of unfinished restores are left out; the sizes of those that the role may
    not open are not known.
    """
    rows = connection.execute(_DATABASES, (PREFIX,)).fetchall()
    return Discovered(tuple(FoundDatabase(name, size) for name, size in rows))
