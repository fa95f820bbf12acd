"""Schemas of a selection that get another name in a database where the old one may be taken.

What is there under the old name steps aside within the transaction, all is made under the names of
the backup, and then everything gets the name that it shall have. Others see nothing of this: the
server shows them the names before the transaction until it is committed, and after it the schema
that stepped aside is called as ever.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from psycopg import sql

from covetbackup.core.databases.postgresql.connection import Connection
from covetbackup.core.databases.selection import Chosen
from covetbackup.core.errors import BadSetting, TargetNotEmpty


def refuse_needed_extensions(connection: Connection, chosen: Chosen) -> None:
    """Raises `BadSetting` for a schema that would step aside with an extension in it that is
    needed: what is made meanwhile would not find that."""
    olds = [old for old, _ in chosen.schemas_as]
    row = connection.execute(_EXTENSIONS, (olds, sorted(chosen.extensions))).fetchone()
    if row is not None:
        schema, extension = row
        raise BadSetting(
            f"schema {schema} cannot come under another name: in this database it holds"
            f" extension {extension}, which what is selected needs",
            "restore it under its own name, or into a new database",
        )


class Aside:
    """`schemas_as` are pairs of a name in the backup and the one to be; `owner` is the role that
    shall own all, "" if there is none. Raises `TargetNotEmpty` if one of the new names is taken."""

    def __init__(
        self, connection: Connection, schemas_as: Sequence[tuple[str, str]], *, owner: str = ""
    ) -> None:
        self._connection = connection
        self._schemas_as = schemas_as
        self._owner = owner
        self._stepped: dict[str, str] = {}
        taken = [new for _, new in schemas_as if self._is_there(new)]
        if taken:
            raise TargetNotEmpty(
                f"schema {', '.join(taken)} is there already", "choose a name that is free"
            )

    def step(self) -> None:
        for old, _ in self._schemas_as:
            if self._is_there(old):
                self._stepped[old] = f"covet_aside_{secrets.token_hex(8)}"
                self._rename(old, self._stepped[old])
            if old == _PUBLIC:
                self._make_public()

    def step_back(self) -> None:
        for old, new in self._schemas_as:
            self._rename(old, new)
        for old, aside in self._stepped.items():
            self._rename(aside, old)

    def _make_public(self) -> None:
        """The one schema that a dump takes for granted, with what everybody may do there."""
        owner = sql.Identifier(self._owner) if self._owner else sql.SQL("CURRENT_USER")
        statement = sql.SQL("CREATE SCHEMA public AUTHORIZATION {}")
        self._connection.execute(statement.format(owner))
        self._connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")

    def _is_there(self, name: str) -> bool:
        query = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
        return self._connection.execute(query, (name,)).fetchone() is not None

    def _rename(self, old: str, new: str) -> None:
        names = sql.Identifier(old), sql.Identifier(new)
        self._connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*names))


_PUBLIC = "public"
_EXTENSIONS = """
SELECT n.nspname, e.extname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname = ANY (%s) AND e.extname = ANY (%s) ORDER BY 1, 2 LIMIT 1
"""
