"""Facts about extensions and the indexes behind constraints that a dump does not hold.

They are recorded with a backup, in the settings of its inventory, for selections and restores.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

import psycopg
from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.recorded import INDEX_NEEDS, RELATIONS
from covetbackup.core.databases.postgresql.server.connection import Connection

SEQUENCES = "extension_sequences"
"""JSON: [schema, name, extension, last value as text or null where the role may not read it] of
each other sequence that an extension owns and that was used."""


def extension_records(connection: Connection) -> dict[str, str]:
    """Return the facts for an inventory's settings, as JSON by the names above."""
    relations: dict[str, str] = dict(connection.execute(_RELATIONS).fetchall())
    sequences = connection.execute(_SEQUENCES).fetchall()
    needs = connection.execute(_INDEX_NEEDS).fetchall()
    return {
        RELATIONS: json.dumps(relations),
        SEQUENCES: json.dumps([list(row) for row in sequences]),
        INDEX_NEEDS: json.dumps([list(row) for row in needs]),
    }


def configuration_relations(connection: Connection) -> Collection[str]:
    """Return the labels of the tables and sequences that extensions declare as configuration."""
    return [label for label, _ in connection.execute(_RELATIONS)]


def advance_sequences(
    connection: Connection, expected: Inventory, extensions: Collection[str]
) -> Iterator[str]:
    """Set the sequences of these `extensions` to their recorded values, which no dump holds.

    Yields a note for each that stays behind its value.
    """
    recorded = json.loads((expected.settings or {}).get(SEQUENCES, "[]"))
    for schema, name, extension, value in recorded:
        if extension not in extensions:
            continue
        what = f"sequence {schema}.{name} of extension {extension}"
        if value is None:
            yield f"{what} begins anew: the backup role could not read its value"
            continue
        try:
            with connection.transaction():
                connection.execute(_ADVANCE, {"schema": schema, "name": name, "value": int(value)})
        except psycopg.errors.InsufficientPrivilege:
            statement = sql.SQL("SELECT setval({}, {})").format(
                sql.Literal(sql.Identifier(schema, name).as_string(connection)), int(value)
            )
            fix = f"have a superuser run {statement.as_string(connection)}"
            yield f"{what} begins anew instead of after {value}: {fix}"


def sequence_warnings(connection: Connection) -> list[str]:
    """Return a warning for each extension's sequence whose value the backup role may not read."""
    return [
        f"the value of sequence {schema}.{name} of extension {extension} cannot be read: after a"
        f" restore it begins anew; GRANT SELECT ON SEQUENCE {schema}.{name} to the backup role"
        for schema, name, extension, value in connection.execute(_SEQUENCES)
        if value is None
    ]


_RELATIONS = """
SELECT n.nspname || '.' || c.relname, e.extname
FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig) AS configured(oid)
JOIN pg_class c ON c.oid = configured.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1
"""
# A sequence that was never used is as it will be made again. One that cannot be read may be.
_SEQUENCES = """
SELECT schema, name, extname, value::text FROM (
  SELECT n.nspname AS schema, c.relname AS name, e.extname,
         has_sequence_privilege(c.oid, 'SELECT') AS is_readable,
         CASE WHEN has_sequence_privilege(c.oid, 'SELECT')
              THEN pg_sequence_last_value(c.oid) END AS value
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass
  JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid <> ALL (coalesce(e.extconfig, '{}'))
) AS found WHERE value IS NOT NULL OR NOT is_readable ORDER BY 1, 2
"""
_INDEX_NEEDS = """
SELECT DISTINCT k.oid::bigint, coalesce(e.refclassid, d.refclassid)::bigint,
       coalesce(e.refobjid, d.refobjid)::bigint
FROM pg_constraint k
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = k.conindid AND d.deptype = 'n'
LEFT JOIN pg_depend e ON e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'
WHERE k.contype IN ('p', 'u', 'x')
  AND d.refclassid NOT IN ('pg_class'::regclass, 'pg_constraint'::regclass) ORDER BY 1, 2, 3
"""
# Only ahead: what the extension itself did while its rows were loaded counts as well.
_ADVANCE = """
SELECT setval(c.oid, %(value)s) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
  AND coalesce((pg_sequence_last_value(c.oid) - %(value)s) * sign(s.seqincrement) < 0, true)
"""
