"""CHECK constraints that refuse rows which the source holds: dropped, and created again at the end.

PostgreSQL checks a row when it is written. A constraint that reads the clock, a setting or another
table may refuse today what it accepted then, and a function in it may read a table that is loaded
later, or by a plain name. Such constraints are validated again if all rows satisfy them then, else
they are NOT VALID: they check new rows, and the result names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.server.background import in_background
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of
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


class DroppedCheckConstraints:
    """The check constraints that are dropped while rows are loaded.

    `connect` reaches the database that is filled, `paths` are search paths of the source, and
    `idle` is called while the server works. With `spares_older` those of domains stay that the
    transaction of `connect` has not created. `notes` name what stays NOT VALID.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        paths: Sequence[str],
        idle: Callable[[], None],
        *,
        spares_older: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._connect = connect
        self._paths = ("", *paths)
        self._idle = idle
        self._dropped: list[_Check] = []
        self._spares_older = spares_older

    def drop(self, tables: Iterable[tuple[str, str]]) -> bool:
        """Drop all that checks rows of these tables, each a schema and a name.

        Returns whether there was any that was not dropped before.
        """
        before = len(self._dropped)
        for schema, table in tables:
            of = {"schema": schema, "table": table, "spares_older": self._spares_older}
            self._drop((_OF_TABLE, _OF_ITS_DOMAINS), of)
        return len(self._dropped) > before

    def drop_doubtful(self) -> None:
        """Drop all in the database that may refuse rows which the source holds.

        These depend on more than the row, or call functions that are not the server's own.
        """
        self._drop((_DOUBTFUL_OF_TABLES, _DOUBTFUL_OF_DOMAINS), {})

    def _drop(self, queries: Sequence[str], of: Mapping[str, object]) -> None:
        with self._connect() as connection, connection.transaction():
            connection.execute("SET LOCAL search_path = ''")
            found = [_Check(*row) for query in queries for row in connection.execute(query, of)]
            for check in found:
                connection.execute(check.alter("DROP"))
        self._dropped += found

    def recreate(self) -> None:
        """Create them again, and validate those that all rows satisfy.

        Raises `SinkFailed` for one that cannot be created.
        """
        if not self._dropped:
            return
        with self._connect() as connection:
            for check in self._dropped:
                added = [check.alter("ADD"), sql.SQL(f" {check.definition} NOT VALID")]
                error = self._run(connection, [sql.Composed(added), *_comment(check)])
                if error is not None:
                    raise SinkFailed(f"creating {check.about} failed: {line_of(error)}") from error
                error = self._run(connection, [check.alter("VALIDATE")])
                if error is not None:
                    is_unchecked = isinstance(error, psycopg.errors.FeatureNotSupported)
                    why = "cannot be checked" if is_unchecked else "does not hold"
                    self.notes.append(
                        f"{check.about} {why} for all restored rows and is NOT VALID:"
                        f" {line_of(error)}"
                    )
            # Within a transaction of the caller's the last search path would stay.
            connection.execute("SELECT set_config('search_path', '', true)")

    def _run(
        self, connection: Connection, statements: Sequence[sql.Composed]
    ) -> psycopg.Error | None:
        """Run `statements` with each search path until one succeeds.

        Returns the first error if none does.
        """
        errors = []
        for path in self._paths:

            def work(stop: Callable[[], bool], path: str = path) -> None:
                with connection.transaction():
                    connection.execute("SELECT set_config('search_path', %s, true)", (path,))
                    for statement in statements:
                        connection.execute(statement)

            running = in_background(connection, work)
            try:
                running.result(on_wait=self._idle)
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


_COLUMNS = """
       c.conname, regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''),
       obj_description(c.oid, 'pg_constraint')
FROM pg_constraint c"""
# Smaller oids are those of the server's own objects.
_FIRST_OF_USERS = 16384
# Those of a table may also be NOT ENFORCED, and then refuse nothing.
_TABLE_CHECKS = f"""
SELECT false, n.nspname, r.relname, {_COLUMNS}
JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'c' AND c.oid >= {_FIRST_OF_USERS} AND c.conislocal
AND pg_get_constraintdef(c.oid) !~ ' NOT ENFORCED$'"""
_DOMAIN_CHECKS = f"""
SELECT true, n.nspname, t.typname, {_COLUMNS}
JOIN pg_type t ON t.oid = c.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE c.contype = 'c' AND c.oid >= {_FIRST_OF_USERS} AND NOT EXISTS (
  SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
    AND d.deptype = 'e')"""
# Inherited constraints can only be dropped where they come from, ancestors first.
_ANCESTORS_FIRST = """
ORDER BY (
  WITH RECURSIVE over AS (
    SELECT c.conrelid AS oid
    UNION SELECT i.inhparent FROM pg_inherits i JOIN over ON over.oid = i.inhrelid
  ) SELECT count(*) FROM over), 2, 3, 4
"""
_OF_TABLE = f"""
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
{_TABLE_CHECKS} AND c.conrelid IN (SELECT oid FROM family) AND c.conname IN (
  SELECT k.conname FROM pg_constraint k JOIN own ON own.oid = k.conrelid WHERE k.contype = 'c')
{_ANCESTORS_FIRST}"""
# The age of what this transaction made is 0 or less.
_OF_ITS_DOMAINS = f"""
WITH RECURSIVE used AS (
  SELECT a.atttypid AS oid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
  FROM pg_type t JOIN used ON used.oid = t.oid WHERE t.typtype = 'd' OR t.typelem <> 0
)
{_DOMAIN_CHECKS} AND t.oid IN (SELECT oid FROM used)
AND (NOT %(spares_older)s OR age(t.xmin) <= 0)
ORDER BY 2, 3, 4
"""
# What only combines values of the row by immutable functions of the server refuses nothing that
# was accepted once.
_DOUBTFUL = rf"""
AND (c.conbin::text ~ 'SQLVALUEFUNCTION|COERCEVIAIO|COERCETODOMAIN ' OR EXISTS (
  SELECT 1 FROM regexp_matches(c.conbin::text, 'funcid (\d+)', 'g') AS called(ids)
  JOIN pg_proc p ON p.oid = ids[1]::oid
  WHERE p.provolatile <> 'i' OR p.oid >= {_FIRST_OF_USERS}))
"""
_DOUBTFUL_OF_TABLES = f"""
{_TABLE_CHECKS} {_DOUBTFUL} AND pg_has_role(r.relowner, 'USAGE') AND NOT EXISTS (
  SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
    AND d.deptype = 'e')
{_ANCESTORS_FIRST}"""
_DOUBTFUL_OF_DOMAINS = f"""
{_DOMAIN_CHECKS} {_DOUBTFUL} AND pg_has_role(t.typowner, 'USAGE')
ORDER BY 2, 3, 4"""
