"""Foreign keys between tables that get rows in one transaction: each holds once all rows are there,
whichever table comes first. Constraints are checked by the server at the end, none is left out.

A key that cannot be deferred is made so for as long as the transaction lasts, which only the
table's owner may do and which lets nobody else write to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from covetbackup.core.databases.postgresql.restore.into_existing.table_checks import (
    Incompatibility,
    listed,
)
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.selection import Rows
from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class ForeignKey:
    schema: str
    table: str
    name: str
    is_deferrable: bool
    may_alter: bool

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.table} {self.name}"


def foreign_keys_between(connection: Connection, rows: Sequence[Rows]) -> list[ForeignKey]:
    """Of two partitioned tables the key of the whole, which its partitions' keys follow."""
    schemas, names = [one.schema for one in rows], [one.name for one in rows]
    return [ForeignKey(*row) for row in connection.execute(_BETWEEN, (schemas, names))]


def incompatibilities(keys: Sequence[ForeignKey]) -> list[Incompatibility]:
    """The keys that this role cannot make wait."""
    stiff = [key.label for key in keys if not key.is_deferrable and not key.may_alter]
    if not stiff:
        return []
    detail = f"only a table's owner can have these wait until all rows are there: {listed(stiff)}"
    fix = "restore as the owner, or one of the tables after the other"
    return [Incompatibility("Foreign keys", detail, fix)]


class DeferredForeignKeys:
    """Keys that wait from `hold` until `release`."""

    def __init__(self, connection: Connection, keys: Sequence[ForeignKey]) -> None:
        """Raises `BadSetting` for keys that cannot wait."""
        for obstacle in incompatibilities(keys):
            raise BadSetting(obstacle.detail, obstacle.fix)
        self._connection = connection
        self._keys = keys

    def hold(self) -> None:
        for key in self._keys:
            if not key.is_deferrable:
                self._alter(key, "DEFERRABLE INITIALLY DEFERRED")
        self._set("DEFERRED")

    def release(self) -> None:
        """Has the server check them all now."""
        self._set("IMMEDIATE")
        stiff = [key for key in self._keys if not key.is_deferrable]
        if stiff:
            # No table can be altered for which anything waits, be it another constraint.
            self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for key in stiff:
            self._alter(key, "NOT DEFERRABLE")

    def _alter(self, key: ForeignKey, how: str) -> None:
        statement = sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} " + how)
        table = sql.Identifier(key.schema, key.table)
        self._connection.execute(statement.format(table, sql.Identifier(key.name)))

    def _set(self, when: str) -> None:
        if self._keys:
            # Those of the same schema that are called alike wait as well, which does no harm.
            names = sql.SQL(", ").join(sql.Identifier(key.schema, key.name) for key in self._keys)
            statement = sql.SQL("SET CONSTRAINTS {} " + when)
            self._connection.execute(statement.format(names))


_BETWEEN = """
WITH RECURSIVE chosen AS (
  SELECT c.oid FROM unnest(%s::text[], %s::text[]) AS wanted(schema, name)
  JOIN pg_namespace n ON n.nspname = wanted.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
), found AS (
  SELECT k.oid, k.conparentid FROM pg_constraint k
  WHERE k.contype = 'f' AND k.conrelid IN (SELECT oid FROM chosen)
    AND k.confrelid IN (SELECT oid FROM chosen)
  UNION
  SELECT k.oid, k.conparentid FROM pg_constraint k JOIN found ON k.oid = found.conparentid
)
SELECT n.nspname, c.relname, k.conname, k.condeferrable, pg_has_role(c.relowner, 'USAGE')
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.oid IN (SELECT oid FROM found WHERE conparentid = 0) ORDER BY 1, 2, 3
"""
