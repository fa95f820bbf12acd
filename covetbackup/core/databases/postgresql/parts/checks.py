"""CHECK constraints that refuse rows which the source holds: taken off, and put back after all.

PostgreSQL checks a row when it is written. A constraint that asks the clock, a setting or another
table may refuse today what it let in then, and a function in it may read a table that is loaded
later, or by a plain name. Such constraints come back validated if all rows fit them then, else NOT
VALID: they guard new rows, and the result names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.background import in_background
from covetbackup.core.databases.postgresql.connection import Connection, line_of
from covetbackup.core.errors import SinkFailed


@dataclass(frozen=True, slots=True)
class _Check:
    """A constraint of the table or domain `schema`.`name`."""

    is_of_domain: bool
    schema: str
    name: str
    constraint: str
    definition: str
    comment: str | None

    def alter(self, action: str) -> sql.Composed:
        kind = sql.SQL("ALTER DOMAIN" if self.is_of_domain else "ALTER TABLE")
        target = sql.Identifier(self.schema, self.name)
        constraint = sql.Identifier(self.constraint)
        return sql.SQL("{} {} {} CONSTRAINT {}").format(
            kind,
            target,
            sql.SQL(action),
            constraint,
        )

    @property
    def about(self) -> str:
        kind = "domain" if self.is_of_domain else "table"
        return f"check constraint {self.constraint} of {kind} {self.schema}.{self.name}"


class ReleasedChecks:
    """`connect` reaches the database that is filled, `paths` are search paths of the source, and
    `idle` is called while the server works. `notes` name what stays NOT VALID."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        paths: Sequence[str],
        idle: Callable[[], None],
    ) -> None:
        self.notes: list[str] = []
        self._connect = connect
        self._paths = ("", *paths)
        self._idle = idle
        self._released: list[_Check] = []
        self._tables: set[tuple[str, str]] = set()

    def release(self, schema: str, table: str) -> bool:
        """Take off all that checks rows of this table; False if there is nothing, or it is off."""
        if (schema, table) in self._tables:
            return False
        self._tables.add((schema, table))
        with self._connect() as connection, connection.transaction():
            connection.execute("SET LOCAL search_path = ''")
            found = [
                _Check(*row)
                for query in (_OF_TABLE, _OF_DOMAINS)
                for row in connection.execute(query, {"schema": schema, "table": table})
            ]
            for check in found:
                connection.execute(check.alter("DROP"))
        self._released += found
        return bool(found)

    def put_back(self) -> None:
        """Raises `SinkFailed` for one that cannot be made again."""
        if not self._released:
            return
        with self._connect() as connection:
            for check in self._released:
                added = [check.alter("ADD"), sql.SQL(f" {check.definition} NOT VALID")]
                error = self._run(connection, [sql.Composed(added), *_comment(check)])
                if error is not None:
                    raise SinkFailed(f"creating {check.about} failed: {line_of(error)}") from error
                error = self._run(connection, [check.alter("VALIDATE")])
                if error is not None:
                    self.notes.append(
                        f"{check.about} does not hold for all restored rows and is NOT VALID:"
                        f" {line_of(error)}"
                    )
            # Within a transaction of the caller's it would stay.
            connection.execute("SELECT set_config('search_path', '', true)")

    def _run(
        self, connection: Connection, statements: Sequence[sql.Composed]
    ) -> psycopg.Error | None:
        """Run them with the first search path that does; the first error if none does."""
        errors = []
        for path in self._paths:

            def work(stop: Callable[[], bool], path: str = path) -> None:
                with connection.transaction():
                    connection.execute("SELECT set_config('search_path', %s, true)", (path,))
                    for statement in statements:
                        connection.execute(statement)

            running = in_background(connection, work)
            try:
                running.result(waiting=self._idle)
                return None
            except psycopg.Error as error:
                if connection.closed:
                    raise
                errors.append(error)
            finally:
                running.stop()
        return errors[0]


def _comment(check: _Check) -> Iterator[sql.Composed]:
    if check.comment is not None:
        yield sql.SQL("COMMENT ON CONSTRAINT {} ON {} {} IS {}").format(
            sql.Identifier(check.constraint),
            sql.SQL("DOMAIN" if check.is_of_domain else ""),
            sql.Identifier(check.schema, check.name),
            sql.Literal(check.comment),
        )


# Inherited constraints can only be dropped where they come from, ancestors first.
_OF_TABLE = """
WITH RECURSIVE own AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = %(table)s
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN own ON own.oid = i.inhparent
), above AS (
  SELECT oid FROM own
  UNION SELECT i.inhparent FROM pg_inherits i JOIN above ON above.oid = i.inhrelid
), family AS (
  SELECT oid FROM above
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN family ON family.oid = i.inhparent
)
SELECT false, n.nspname, r.relname, c.conname,
       replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''),
       obj_description(c.oid, 'pg_constraint')
FROM pg_constraint c JOIN family ON family.oid = c.conrelid
JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'c' AND c.conislocal AND c.conname IN (
  SELECT k.conname FROM pg_constraint k JOIN own ON own.oid = k.conrelid WHERE k.contype = 'c')
ORDER BY (
  WITH RECURSIVE over AS (
    SELECT c.conrelid AS oid
    UNION SELECT i.inhparent FROM pg_inherits i JOIN over ON over.oid = i.inhrelid
  ) SELECT count(*) FROM over), 2, 3, 4
"""
_OF_DOMAINS = """
WITH RECURSIVE used AS (
  SELECT a.atttypid AS oid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
  FROM pg_type t JOIN used ON used.oid = t.oid WHERE t.typtype = 'd' OR t.typelem <> 0
)
SELECT true, n.nspname, t.typname, c.conname,
       replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''),
       obj_description(c.oid, 'pg_constraint')
FROM pg_constraint c JOIN used ON used.oid = c.contypid
JOIN pg_type t ON t.oid = c.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE c.contype = 'c' AND NOT EXISTS (
  SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
    AND d.deptype = 'e')
ORDER BY 2, 3, 4
"""
