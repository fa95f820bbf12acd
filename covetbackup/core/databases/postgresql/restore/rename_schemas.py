"""Renaming of schemas in a restored database, before other sessions can see them.

A schema in which an extension is stays, as most extensions cannot be moved and refer to themselves
by name: everything else in it moves to a new schema. References to objects stay valid.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from covetbackup.core.databases.postgresql.server.connection import Connection


def rename_schemas(connection: Connection, schemas_as: Sequence[tuple[str, str]]) -> None:
    """Give each schema in `schemas_as`, pairs of an old and a new name, its new name.

    Each statement is its own transaction: one for all would need a lock on every table at once.
    """
    for old, new in schemas_as:
        if connection.execute(_HAS_EXTENSION, (old,)).fetchone():
            _move_objects(connection, old, new)
        else:
            statement = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            connection.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))


def _move_objects(connection: Connection, old: str, new: str) -> None:
    _create_like(connection, old, new)
    for kind, identity in connection.execute(_OBJECTS, (old,)).fetchall():
        # Both are texts of the server, quoted where they must be.
        text = sql.SQL(f"ALTER {_KINDS.get(kind, kind)} {identity} SET SCHEMA {{}}")
        connection.execute(text.format(sql.Identifier(new)))


def _create_like(connection: Connection, old: str, new: str) -> None:
    row = connection.execute(_OWNER, (old,)).fetchone()
    assert row is not None
    owner, comment = row
    name = sql.Identifier(new)
    statement = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}")
    connection.execute(statement.format(name, sql.Identifier(owner)))
    for role, privilege, suffix in connection.execute(_GRANTS, (old,)).fetchall():
        grantee = sql.Identifier(role) if role else sql.SQL("PUBLIC")
        grant = sql.SQL(f"GRANT {privilege} ON SCHEMA {{}} TO {{}} {suffix}")
        connection.execute(grant.format(name, grantee))
    if comment:
        text = sql.SQL("COMMENT ON SCHEMA {} IS {}")
        connection.execute(text.format(name, sql.Literal(comment)))


_KINDS = {"statistics object": "statistics", "composite type": "type"}
_HAS_EXTENSION = """
SELECT 1 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname = %s LIMIT 1
"""
_OWNER = """
SELECT pg_get_userbyid(nspowner), obj_description(oid, 'pg_namespace')
FROM pg_namespace WHERE nspname = %s
"""
_GRANTS = """
SELECT coalesce(r.rolname, ''), a.privilege_type,
       CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = %s AND a.grantee <> n.nspowner AND (a.grantee = 0 OR r.oid IS NOT NULL)
"""
# Indexes, row types, arrays, and sequences that a column owns move with what they belong to.
_OBJECTS = """
SELECT found.type, found.identity
FROM pg_depend d CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS found
WHERE d.refclassid = 'pg_namespace'::regclass AND d.deptype = 'n' AND d.objsubid = 0
  AND d.classid <> 'pg_extension'::regclass
  AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = %s)
  AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid
    AND e.deptype = 'e')
  AND NOT EXISTS (SELECT 1 FROM pg_depend o JOIN pg_class c ON c.oid = o.objid
    WHERE d.classid = 'pg_class'::regclass AND o.classid = d.classid AND o.objid = d.objid
      AND c.relkind = 'S' AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i'))
ORDER BY d.classid, d.objid
"""
