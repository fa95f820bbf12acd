"""Foreign keys of an in-place restore: deferred while rows are loaded, or created to other tables.

Keys between tables that get rows in one transaction are deferred, so that the order of tables does
not matter. The server checks each at the end, none is left out. A key that is not deferrable is
made so for as long as the transaction lasts, which only the table's owner may do and which locks
the table against other writers meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from psycopg import errors, sql

from covetbackup.core.databases.checks import Incompatibility, join_names
from covetbackup.core.databases.postgresql.archive.contents import Entry
from covetbackup.core.databases.postgresql.restore.into_existing.table_checks import (
    NAMED,
)
from covetbackup.core.databases.postgresql.restore.into_existing.transaction import RunInterruptible
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of
from covetbackup.core.databases.selection import TableData
from covetbackup.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class PostgresForeignKey:
    """A foreign key of the target; `may_alter` says whether this role may make it deferrable."""

    schema: str
    table: str
    name: str
    is_deferrable: bool
    may_alter: bool

    @property
    def label(self) -> str:
        """The name as messages show it."""
        return f"{self.schema}.{self.table} {self.name}"


def foreign_keys_between(
    connection: Connection, rows: Sequence[TableData]
) -> list[PostgresForeignKey]:
    """Return the keys of which both tables get rows.

    Of two partitioned tables it is the key of the whole, which its partitions' keys follow.
    """
    schemas, names = [one.schema for one in rows], [one.name for one in rows]
    return [PostgresForeignKey(*row) for row in connection.execute(_BETWEEN, (schemas, names))]


def incompatibilities(keys: Sequence[PostgresForeignKey]) -> list[Incompatibility]:
    """Return the error for keys that this role cannot defer, if there are any."""
    non_deferrable = [key.label for key in keys if not key.is_deferrable and not key.may_alter]
    if not non_deferrable:
        return []
    names = join_names(non_deferrable, NAMED)
    detail = f"only a table's owner can have these wait until all rows are there: {names}"
    fix = "restore as the owner, or one of the tables after the other"
    return [Incompatibility("Foreign keys", detail, fix)]


class DeferredForeignKeys:
    """Foreign keys that are deferred from `defer` until `check`.

    Raises `BadSetting` for keys that cannot be.
    """

    def __init__(self, connection: Connection, keys: Sequence[PostgresForeignKey]) -> None:
        for obstacle in incompatibilities(keys):
            raise BadSetting(obstacle.detail, obstacle.fix)
        self._connection = connection
        self._keys = keys

    def defer(self) -> None:
        """Defer the keys, and make deferrable those that are not."""
        for key in self._keys:
            if not key.is_deferrable:
                self._alter(key, "DEFERRABLE INITIALLY DEFERRED")
        self._set_constraints("DEFERRED")

    def check(self) -> None:
        """Have the server check all keys now, and make them as they were."""
        self._set_constraints("IMMEDIATE")
        non_deferrable = [key for key in self._keys if not key.is_deferrable]
        if non_deferrable:
            # No table can be altered that has deferred checks pending, of whatever constraint.
            self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for key in non_deferrable:
            self._alter(key, "NOT DEFERRABLE")

    def _alter(self, key: PostgresForeignKey, how: str) -> None:
        statement = sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} " + how)
        table = sql.Identifier(key.schema, key.table)
        self._connection.execute(statement.format(table, sql.Identifier(key.name)))

    def _set_constraints(self, when: str) -> None:
        if self._keys:
            # Keys of the same name in the schema are deferred as well, which does no harm.
            names = sql.SQL(", ").join(sql.Identifier(key.schema, key.name) for key in self._keys)
            statement = sql.SQL("SET CONSTRAINTS {} " + when)
            self._connection.execute(statement.format(names))


_LEFT_OUT = (errors.IntegrityError, errors.ProgrammingError, errors.LockNotAvailable)


def create_external_keys(
    connection: Connection, keys: Sequence[Entry], run: RunInterruptible
) -> Iterator[str]:
    """Create the `keys` to tables that existed before, as far as possible, and yield a note each.

    One that the rows there do not allow is left out: without it the table is still of use, and the
    others would have to be undone as well.
    """
    for key in keys:
        try:
            with connection.transaction():
                run(partial(connection.execute, key.definition))
        except _LEFT_OUT as error:
            yield f"left out: foreign key {key.name}: {line_of(error)}"
        else:
            yield f"leads to a table that was there: foreign key {key.name}"


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
