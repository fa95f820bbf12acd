"""The tables, sequences and large objects that a dump will hold, and those it could not read.

Everything is read from the catalogs in the caller's transaction, so a snapshot's view is a
consistent one. Extension members are left to the extension, except its configuration tables.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import Unreadable

_NAMED = 20  # objects named in a message; the rest are counted


@dataclass(frozen=True, slots=True)
class Relation:
    """A table ("r"), partitioned table ("p"), foreign table ("f") or sequence ("S").

    `pages_bytes` is the size of its main fork and `toast_bytes` that of its wide values, which are
    stored apart; `is_heap` says that a row is found by its page. `estimate` is the planner's number
    of rows, -1 if unknown. `condition` is the WHERE clause by which an extension selects the user's
    rows of its configuration table. `load_root` is the oid of the nearest ancestor whose hash
    partitions depend on enum oids, 0 if none: rows of such partitions change places in a restore.
    """

    oid: int
    schema: str
    name: str
    kind: str
    pages_bytes: int
    estimate: int
    load_root: int
    condition: str
    unlogged: bool
    toast_bytes: int
    is_heap: bool

    @property
    def label(self) -> str:
        """The name as an inventory has it: "schema.name", not quoted."""
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> sql.Composable:
        """The qualified name for a statement."""
        return sql.Identifier(self.schema, self.name)


# The configuration tables of extensions are ordinary members otherwise. Hash partitions on an
# enum are restored through their root, since enum oids differ between databases (pg_dump does so).
_RELATIONS = """
WITH RECURSIVE configured AS (
  SELECT c.oid, c.condition FROM pg_extension, unnest(extconfig, extcondition) AS c(oid, condition)
), moving AS (
  SELECT partrelid AS oid, partrelid AS root FROM pg_partitioned_table
  WHERE EXISTS (SELECT 1 FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod
                WHERE c.opcname = 'enum_ops' AND c.opcnamespace = 'pg_catalog'::regnamespace
                  AND a.amname = 'hash' AND c.oid = ANY (partclass))
  UNION
  SELECT i.inhrelid, moving.root FROM pg_inherits i JOIN moving ON moving.oid = i.inhparent
)
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text,
       CASE WHEN c.relkind = 'r' THEN coalesce(pg_relation_size(c.oid), 0) ELSE 0 END,
       greatest(c.reltuples, -1)::bigint,
       coalesce((SELECT min(root::bigint) FROM moving WHERE moving.oid = c.oid), 0),
       coalesce(configured.condition, ''),
       c.relpersistence = 'u',
       CASE WHEN c.reltoastrelid <> 0 THEN coalesce(pg_relation_size(c.reltoastrelid), 0)
            ELSE 0 END,
       c.relkind = 'r' AND coalesce((SELECT amname = 'heap' FROM pg_am WHERE oid = c.relam), false)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN configured ON configured.oid = c.oid
WHERE c.relkind = ANY (%(kinds)s) AND c.relpersistence <> 't'
  AND (%(labels)s::text[] IS NULL OR n.nspname || '.' || c.relname = ANY (%(labels)s::text[]))
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (configured.oid IS NOT NULL OR NOT EXISTS (
    SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
      AND d.deptype = 'e'))
ORDER BY n.nspname, c.relname
"""


def tables(connection: Connection, labels: Collection[str] | None = None) -> list[Relation]:
    """Return the tables, partitioned and foreign tables; with `labels` only those.

    Reading the size of a table waits for an exclusive lock on it.
    """
    return _relations(connection, ["r", "p", "f"], labels)


def sequences(connection: Connection, labels: Collection[str] | None = None) -> list[Relation]:
    """Return the sequences; with `labels` only those."""
    return _relations(connection, ["S"], labels)


def _relations(
    connection: Connection, kinds: list[str], labels: Collection[str] | None
) -> list[Relation]:
    asked = {"kinds": kinds, "labels": None if labels is None else list(labels)}
    return [Relation(*row) for row in connection.execute(_RELATIONS, asked)]


def readable(connection: Connection) -> frozenset[int]:
    """Return the oids of the tables of which this role sees all rows."""
    return frozenset(int(oid) for (oid,) in connection.execute(_READABLE))


_READABLE = """
SELECT oid::bigint FROM pg_class WHERE relkind IN ('r', 'p')
  AND has_schema_privilege(relnamespace, 'USAGE') AND has_table_privilege(oid, 'SELECT')
  AND NOT row_security_active(oid)
"""


def refuse_unreadable(connection: Connection) -> None:
    """Raise `Unreadable` naming what this role cannot dump, with the GRANT statements that help.

    Without this pg_dump stops at the first of them, and only after it has begun.
    """
    found = [
        *_denied(connection, _DENIED_SCHEMAS, "schema {0}", "GRANT USAGE ON SCHEMA {0} TO {1};"),
        *_denied(connection, _DENIED_TABLES, "table {0}", "GRANT SELECT ON TABLE {0} TO {1};"),
        *_denied(
            connection, _DENIED_SEQUENCES, "sequence {0}", "GRANT SELECT ON SEQUENCE {0} TO {1};"
        ),
        *_denied(
            connection,
            _DENIED_LARGE_OBJECTS,
            "large object {0}",
            "GRANT SELECT ON LARGE OBJECT {0} TO {1};",
        ),
        *_denied(
            connection,
            _FILTERED_TABLES,
            "rows of table {0} behind row-level security",
            "ALTER ROLE {1} BYPASSRLS;",
        ),
    ]
    if not found:
        return
    more = len(found) - _NAMED
    listed = ", ".join(name for name, _ in found[:_NAMED])
    grants = dict.fromkeys(grant for _, grant in found[:_NAMED])
    rest = f" and {more} more" if more > 0 else ""
    raise Unreadable(
        f"{len(found)} objects cannot be read by the backup role: {listed}{rest}",
        "run as their owner: " + " ".join(grants),
    )


def _denied(connection: Connection, query: str, name: str, grant: str) -> list[tuple[str, str]]:
    rows = connection.execute(query).fetchall()
    return [(name.format(row[0]), grant.format(row[0], row[1])) for row in rows]


_USER_RELATIONS = """
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                     AND d.objid = c.oid AND d.deptype = 'e')
       OR EXISTS (SELECT 1 FROM pg_extension WHERE c.oid = ANY (extconfig)))
"""
_LABEL = "format('%I.%I', n.nspname, c.relname), quote_ident(current_user)"
_DENIED_SCHEMAS = f"""
SELECT DISTINCT quote_ident(n.nspname), quote_ident(current_user) {_USER_RELATIONS}
  AND c.relkind IN ('r', 'p', 'S') AND NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY 1
"""
_DENIED_TABLES = f"""
SELECT {_LABEL} {_USER_RELATIONS}
  AND c.relkind IN ('r', 'p') AND NOT has_table_privilege(c.oid, 'SELECT') ORDER BY 1
"""
_DENIED_SEQUENCES = f"""
SELECT {_LABEL} {_USER_RELATIONS}
  AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT') END ORDER BY 1
"""
_FILTERED_TABLES = f"""
SELECT {_LABEL} {_USER_RELATIONS}
  AND c.relkind IN ('r', 'p') AND c.relrowsecurity AND row_security_active(c.oid) ORDER BY 1
"""
# There is no has_largeobject_privilege in the supported versions, so its rule is spelled out.
_DENIED_LARGE_OBJECTS = """
SELECT l.oid::text, quote_ident(current_user) FROM pg_largeobject_metadata l
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  AND current_setting('lo_compat_privileges') = 'off'
  AND NOT pg_has_role(l.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM aclexplode(l.lomacl) a WHERE a.privilege_type = 'SELECT'
    AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
ORDER BY l.oid
"""
