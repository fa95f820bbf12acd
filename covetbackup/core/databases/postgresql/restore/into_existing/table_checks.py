"""Checks of the tables that rows are to go into: whether the rows are compatible with them.

Effects there, such as triggers, are reported too. Only catalogs are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from covetbackup.core.databases.checks import Incompatibility, join_names
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.selection import TableData

NAMED = 20  # tables or columns named in a message


@dataclass(frozen=True, slots=True)
class PostgresTargetTable:
    """A table of the target for `rows` of the backup.

    It `lacks` columns that the backup holds, and `wants` a value for others; the rows fire
    `triggers`, and its columns own `sequences`. For a table that does not exist all are empty.
    """

    rows: TableData
    is_there: bool
    may_insert: bool
    is_filtered: bool
    lacks: tuple[str, ...]
    wants: tuple[str, ...]
    triggers: tuple[str, ...]
    sequences: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name as messages show it."""
        return f"{self.rows.schema}.{self.rows.name}"


def inspect_tables(connection: Connection, rows: Sequence[TableData]) -> list[PostgresTargetTable]:
    """Return the target's table for each of `rows`."""
    schemas, names = [one.schema for one in rows], [one.name for one in rows]
    found = connection.execute(_PLACES, (schemas, names)).fetchall()
    return [_place(one, *values) for one, values in zip(rows, found, strict=True)]


def incompatibilities(tables: Sequence[PostgresTargetTable]) -> Iterator[Incompatibility]:
    """Yield each kind of incompatibility, naming the tables."""
    there = [table for table in tables if table.is_there]
    for title, meaning, bad, fix in (
        (
            "Tables",
            "tables that are not there",
            [table.label for table in tables if not table.is_there],
            "restore them with their structure, or create them first",
        ),
        (
            "Privileges",
            "tables that this role may not insert into",
            [table.label for table in there if not table.may_insert],
            "grant it INSERT on them and USAGE on their schema",
        ),
        (
            "Row-level security",
            "tables whose policies would filter what goes in",
            [table.label for table in there if table.is_filtered],
            "restore as their owner or as a role with BYPASSRLS",
        ),
        (
            "Columns",
            "columns that are not there, or computed there",
            [f"{table.label}.{column}" for table in there for column in table.lacks],
            "give the tables the columns of the backup, or restore under a new name",
        ),
        (
            "Columns",
            "columns that need a value and are not in the backup",
            [f"{table.label}.{column}" for table in there for column in table.wants],
            "give them a default, or restore under a new name",
        ),
    ):
        if bad:
            yield Incompatibility(title, f"{meaning}: {join_names(bad, NAMED)}", fix)


def non_empty(connection: Connection, tables: Sequence[PostgresTargetTable]) -> list[str]:
    """Return the labels of tables that hold rows, as far as this role may see that."""
    held = []
    for table in tables:
        if not table.is_there:
            continue
        name = sql.Identifier(table.rows.schema, table.rows.name)
        query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(name)
        try:
            with connection.transaction():
                row = connection.execute(query).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            continue
        if row is not None and row[0]:
            held.append(table.label)
    return held


def _place(
    rows: TableData,
    oid: int | None,
    may_insert: bool,
    is_filtered: bool,
    columns: list[str],
    required: list[str],
    triggers: list[str],
    sequences: list[str],
) -> PostgresTargetTable:
    is_there = oid is not None
    return PostgresTargetTable(
        rows,
        is_there,
        may_insert,
        is_filtered,
        lacks=tuple(name for name in rows.columns if is_there and name not in columns),
        wants=tuple(name for name in required if name not in rows.columns),
        triggers=tuple(triggers),
        sequences=tuple(sequences),
    )


# COPY gives identity columns the values that it brings, and refuses generated ones. A role that may
# not use the schema can insert nowhere in it.
_PLACES = """
SELECT c.oid::bigint,
  coalesce(has_schema_privilege(c.relnamespace, 'USAGE')
           AND has_table_privilege(c.oid, 'INSERT'), false),
  coalesce(row_security_active(c.oid), false),
  ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
        AND NOT attisdropped AND attgenerated = ''),
  ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
        AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = '' ORDER BY attnum),
  ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
        AND tgenabled IN ('O', 'A') AND tgtype & 4 <> 0 ORDER BY tgname),
  ARRAY(SELECT format('%%I.%%I', n.nspname, s.relname) FROM pg_depend d
        JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        JOIN pg_namespace n ON n.oid = s.relnamespace
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = c.oid AND d.deptype IN ('a', 'i') ORDER BY 1)
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS wanted(schema, name, place)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
  ON n.nspname = wanted.schema AND c.relname = wanted.name AND c.relkind IN ('r', 'p', 'f')
ORDER BY wanted.place
"""
