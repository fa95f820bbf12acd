"""Renaming of restored schemas in a database that may have schemas of the old names.

An existing schema of the old name is renamed within the transaction, all is created under the names
of the backup, and then each schema gets its final name. Other sessions see nothing of this: until
the commit the server shows them the names before the transaction, and after it the existing schema
has its own name again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from psycopg import sql

from covetbackup.core.databases.postgresql.archive.contents import Entry
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import TargetNotEmpty


def refuse_taken(connection: Connection, schemas_as: Sequence[tuple[str, str]]) -> None:
    """Raise `TargetNotEmpty` if one of the new names in `schemas_as` is taken."""
    taken = [new for _, new in schemas_as if _exists(connection, new)]
    if taken:
        raise TargetNotEmpty(f"schema {', '.join(taken)} exists already", "enter a free name")


def create_public(connection: Connection, name: str, *, owner: str) -> None:
    """Create schema `name` like the schema "public", which no statement of a dump creates.

    PUBLIC gets USAGE on it; `owner` is its owner, or the current role if that is "".
    """
    role = sql.Identifier(owner) if owner else sql.SQL("CURRENT_USER")
    schema = sql.Identifier(name)
    connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(schema, role))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(schema))


def _exists(connection: Connection, name: str) -> bool:
    query = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    return connection.execute(query, (name,)).fetchone() is not None


class SchemaRename:
    """The renaming of schemas around the creation of their objects.

    `schemas_as` are pairs of a name in the backup and the new one; `owner` is the role that shall
    own all, "" for the current role; `created` is empty here. Raises `TargetNotEmpty` if one of the
    new names is taken.
    """

    def __init__(
        self, connection: Connection, schemas_as: Sequence[tuple[str, str]], *, owner: str = ""
    ) -> None:
        self._connection = connection
        self._schemas_as = schemas_as
        self._owner = owner
        self._temporary: dict[str, str] = {}
        self.created: set[int] = set()
        refuse_taken(connection, schemas_as)

    def apply(self) -> None:
        """Rename existing schemas of the old names to temporary ones."""
        for old, _ in self._schemas_as:
            if _exists(self._connection, old):
                self._temporary[old] = f"covet_aside_{secrets.token_hex(8)}"
                self._rename(old, self._temporary[old])
            if old == _PUBLIC:
                create_public(self._connection, old, owner=self._owner)

    def restore(self) -> None:
        """Give the restored schemas their new names, and the existing ones their own again."""
        for old, new in self._schemas_as:
            self._rename(old, new)
        for old, temporary in self._temporary.items():
            self._rename(temporary, old)

    def entry(self, entry: Entry) -> Entry:
        """Return `entry` unchanged: it is created under the names of the backup."""
        return entry

    def text(self, statements: bytes) -> bytes:
        """Return `statements` unchanged."""
        return statements

    def before_restore(self, resolved: ResolvedSelection) -> ResolvedSelection:
        """Return `resolved` with the names that its schemas have before `restore`."""
        return replace(resolved, schemas_as=())

    def _rename(self, old: str, new: str) -> None:
        names = sql.Identifier(old), sql.Identifier(new)
        self._connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*names))


_PUBLIC = "public"
