"""Extensions that exist in one database of a server only, the one that a setting names.

A restore fills a database of another name first, where such an extension cannot be. How it waits
for the rename is in `restore.deferred_extensions`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import psycopg

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.server.connection import Connection


@dataclass(frozen=True, slots=True)
class SingleDatabase:
    """An extension whose `setting` names its one database.

    Its objects are in `schema`, whatever schema it was created in. `content` says in plural what
    its rows are.
    """

    setting: str
    schema: str
    content: str

    @property
    def holding_schema(self) -> str:
        """The schema of its rows while it is not installed."""
        return f"left_out_{self.schema}"


EXTENSIONS = {"pg_cron": SingleDatabase("cron.database_name", "cron", "scheduled jobs")}


def database_of(connection: Connection, name: str) -> str | None:
    """Return the one database of this server that can have the extension `name`.

    It is "" where there is none, as the extension is not installed or not preloaded, and None if
    this role may not know.
    """
    query = "SELECT count(*) FROM pg_available_extensions WHERE name = %s"
    if connection.execute(query, (name,)).fetchone() == (0,):
        return ""
    try:
        query = "SELECT coalesce(current_setting(%s, true), '')"
        row = connection.execute(query, (EXTENSIONS[name].setting,)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return "" if row is None else str(row[0])


def installable(expected: Inventory) -> Collection[str]:
    """Return the extensions of `expected` that can be in any database of a server."""
    return [name for name in expected.extensions if name not in EXTENSIONS]
