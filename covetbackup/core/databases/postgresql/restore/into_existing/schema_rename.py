"""Schemas of a selection that get another name in a database where the old one may be taken.

What is there under the old name steps aside within the transaction, all is made under the names of
the backup, and then everything gets the name that it shall have. Others see nothing of this: the
server shows them the names before the transaction until it is committed, and after it the schema
that stepped aside is called as ever.
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
    """Raises `TargetNotEmpty` if one of the new names is taken."""
    taken = [new for _, new in schemas_as if _is_there(connection, new)]
    if taken:
        raise TargetNotEmpty(
            f"schema {', '.join(taken)} is there already", "choose a name that is free"
        )


def create_public(connection: Connection, name: str, *, owner: str) -> None:
    """The one schema that a dump takes for granted, with what everybody may do there."""
    role = sql.Identifier(owner) if owner else sql.SQL("CURRENT_USER")
    schema = sql.Identifier(name)
    connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(schema, role))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(schema))


def _is_there(connection: Connection, name: str) -> bool:
    query = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    return connection.execute(query, (name,)).fetchone() is not None


class SchemaRename:
    """`schemas_as` are pairs of a name in the backup and the one to be; `owner` is the role that
    shall own all, "" if there is none. Raises `TargetNotEmpty` if one of the new names is taken."""

    def __init__(
        self, connection: Connection, schemas_as: Sequence[tuple[str, str]], *, owner: str = ""
    ) -> None:
        self._connection = connection
        self._schemas_as = schemas_as
        self._owner = owner
        self._stepped: dict[str, str] = {}
        self.created: set[int] = set()
        refuse_taken(connection, schemas_as)

    def apply(self) -> None:
        for old, _ in self._schemas_as:
            if _is_there(self._connection, old):
                self._stepped[old] = f"covet_aside_{secrets.token_hex(8)}"
                self._rename(old, self._stepped[old])
            if old == _PUBLIC:
                create_public(self._connection, old, owner=self._owner)

    def restore(self) -> None:
        for old, new in self._schemas_as:
            self._rename(old, new)
        for old, aside in self._stepped.items():
            self._rename(aside, old)

    def entry(self, entry: Entry) -> Entry:
        """Return it as it is: it is created under the names of the backup."""
        return entry

    def text(self, statements: bytes) -> bytes:
        """Return them as they are."""
        return statements

    def chosen(self, chosen: ResolvedSelection) -> ResolvedSelection:
        """Return `chosen` as what is there before `restore`."""
        return replace(chosen, schemas_as=())

    def _rename(self, old: str, new: str) -> None:
        names = sql.Identifier(old), sql.Identifier(new)
        self._connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*names))


_PUBLIC = "public"
