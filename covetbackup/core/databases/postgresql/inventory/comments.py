"""Numbers of the comments and security labels that a dump holds, easily lost without an error.

Left out is what a dump leaves out (members of extensions, clones that partitions get from their
parents, constraints that are only inherited), and what depends on the versions of server and
extension: comments on extensions, on the schema public and on NOT NULL constraints.
"""

from __future__ import annotations

from covetbackup.core.databases.postgresql.server.connection import Connection


def annotation_counts(connection: Connection) -> dict[str, int]:
    """Return the numbers by kind, "comment" and "security label"; a kind without any is absent."""
    return {kind: int(number) for kind, number in connection.execute(_ANNOTATIONS) if number}


_FIRST_OF_USERS = 16384  # smaller oids are those of objects that every database has

# Objects in no schema, or whose schema does not matter: all that a user made of these is dumped.
_PLAIN = (
    *("pg_am", "pg_cast", "pg_collation", "pg_conversion", "pg_event_trigger", "pg_language"),
    *("pg_foreign_data_wrapper", "pg_foreign_server", "pg_opclass", "pg_operator", "pg_opfamily"),
    *("pg_publication", "pg_transform", "pg_ts_config", "pg_ts_dict", "pg_ts_parser"),
    "pg_ts_template",
)
_PLAIN_OBJECTS = "\n".join(
    f"  UNION ALL SELECT '{name}'::regclass::oid, oid FROM {name}" for name in _PLAIN
)
_ANNOTATIONS = f"""
WITH member AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
space AS (
  SELECT oid FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
),
relation AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
),
object (classid, objid) AS (
  SELECT 'pg_class'::regclass::oid, oid FROM relation
  UNION ALL SELECT 'pg_class'::regclass::oid, i.indexrelid
    FROM pg_index i JOIN relation t ON t.oid = i.indrelid WHERE i.indisvalid
  UNION ALL SELECT 'pg_constraint'::regclass::oid, c.oid
    FROM pg_constraint c JOIN relation t ON t.oid = c.conrelid
    WHERE c.contype IN ('p', 'u', 'x') OR c.contype = 'c' AND c.conislocal
      OR c.contype = 'f' AND c.conparentid = 0
  UNION ALL SELECT 'pg_constraint'::regclass::oid, oid FROM pg_constraint
    WHERE contype = 'c' AND contypid <> 0
      AND contypid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)
  UNION ALL SELECT 'pg_trigger'::regclass::oid, g.oid
    FROM pg_trigger g JOIN relation t ON t.oid = g.tgrelid
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
  UNION ALL SELECT 'pg_rewrite'::regclass::oid, w.oid
    FROM pg_rewrite w JOIN relation t ON t.oid = w.ev_class WHERE w.rulename <> '_RETURN'
  UNION ALL SELECT 'pg_policy'::regclass::oid, p.oid
    FROM pg_policy p JOIN relation t ON t.oid = p.polrelid
  UNION ALL SELECT 'pg_statistic_ext'::regclass::oid, s.oid
    FROM pg_statistic_ext s JOIN relation t ON t.oid = s.stxrelid
  UNION ALL SELECT 'pg_namespace'::regclass::oid, oid FROM space
  UNION ALL SELECT 'pg_proc'::regclass::oid, oid FROM pg_proc p
    WHERE NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
      AND d.objid = p.oid AND d.deptype = 'i')
  UNION ALL SELECT 'pg_type'::regclass::oid, oid FROM pg_type
    WHERE typtype IN ('b', 'c', 'd', 'e', 'r') AND oid NOT IN (SELECT typarray FROM pg_type)
      AND (typrelid = 0 OR (SELECT relkind FROM pg_class WHERE oid = typrelid) = 'c')
  UNION ALL SELECT 'pg_largeobject'::regclass::oid, oid FROM pg_largeobject_metadata
{_PLAIN_OBJECTS}
),
dumped AS (
  SELECT classid, objid FROM object
  WHERE objid >= {_FIRST_OF_USERS} AND (classid, objid) NOT IN (SELECT classid, objid FROM member)
)
SELECT 'comment', count(*) FROM pg_description a
  JOIN dumped o ON o.classid = a.classoid AND o.objid = a.objoid WHERE a.objsubid >= 0
UNION ALL SELECT 'security label', count(*) FROM pg_seclabel a
  JOIN dumped o ON o.classid = a.classoid AND o.objid = a.objoid
"""
