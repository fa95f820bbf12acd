"""Facts about a database besides rows: objects by kind, roles, extensions, properties.

Only catalogs are read, in the caller's transaction. Values are ready for an `Inventory`.
"""

from __future__ import annotations

import json
from typing import Any

from covetbackup.core.databases.inventory import SequenceFacts
from covetbackup.core.databases.postgresql.inventory import search_paths
from covetbackup.core.databases.postgresql.inventory.dumpable_objects import Relation
from covetbackup.core.databases.postgresql.server.connection import Connection, major_of


def sequence_facts(connection: Connection, sequences: list[Relation]) -> tuple[SequenceFacts, ...]:
    """Return each sequence with its last value, None for one that was never used.

    Sequences are not transactional: values may be ahead of the snapshot.
    """
    wanted = [sequence.oid for sequence in sequences]
    rows = connection.execute(
        "SELECT oid::bigint, pg_sequence_last_value(oid::regclass)"
        " FROM unnest(%s::bigint[]) AS o(number), LATERAL (SELECT number::oid) AS s(oid)",
        (wanted,),
    ).fetchall()
    values: dict[int, int | None] = dict(rows)
    return tuple(SequenceFacts(each.schema, each.name, values[each.oid]) for each in sequences)


def large_object_count(connection: Connection) -> int:
    """Return the number of large objects."""
    return int(_value(connection, "SELECT count(*) FROM pg_largeobject_metadata"))


def extensions(connection: Connection) -> dict[str, str]:
    """Return the versions of the installed extensions by name."""
    rows = connection.execute("SELECT extname, extversion FROM pg_extension ORDER BY extname")
    return dict(rows.fetchall())


def roles(connection: Connection) -> tuple[str, ...]:
    """Return the roles that own something here or are granted something, without predefined roles.

    pg_shdepend holds them all but the bootstrap superuser, which is pinned and not recorded;
    therefore owners are read once more.
    """
    return tuple(row[0] for row in connection.execute(_ROLES))


_ROLES = """
SELECT r.rolname FROM pg_roles r WHERE r.rolname !~ '^pg_' AND r.oid IN (
  SELECT refobjid FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass
      AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION SELECT nspowner FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
  UNION SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
        AND d.objid = c.oid AND d.deptype = 'e')
  UNION SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
        AND d.objid = p.oid AND d.deptype = 'e')
  UNION SELECT t.typowner FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
        AND d.objid = t.oid AND d.deptype IN ('e', 'i'))
  UNION SELECT lomowner FROM pg_largeobject_metadata
) ORDER BY r.rolname
"""


def object_counts(connection: Connection) -> dict[str, int]:
    """Return the number of objects of each kind in a dump, apart from tables and sequences.

    Left out is what a dump leaves out or a restore creates by itself: extension members, invalid
    indexes, and the clones that partitions get from their parents.
    """
    return {kind: int(number) for kind, number in connection.execute(_OBJECTS) if number}


_OBJECTS = """
WITH member AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
space AS (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_namespace'::regclass)
),
relation AS (
  SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
    AND c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
),
routine AS (
  SELECT p.prokind FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND p.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
      AND d.objid = p.oid AND d.deptype = 'i')
),
kind AS (
  SELECT t.oid, t.typtype FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND t.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_type'::regclass)
)
SELECT 'schema', count(*) FROM space WHERE nspname <> 'public'
UNION ALL SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
  WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
  ELSE 'composite type' END, count(*)
  FROM relation WHERE relkind IN ('v', 'm', 'p', 'f', 'c') GROUP BY 1
UNION ALL SELECT 'index', count(*) FROM pg_index i JOIN relation t ON t.oid = i.indrelid
  WHERE i.indisvalid AND t.relkind IN ('r', 'm', 'p')
UNION ALL SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
  ELSE 'function' END, count(*) FROM routine GROUP BY 1
UNION ALL SELECT CASE typtype WHEN 'e' THEN 'enum type' WHEN 'd' THEN 'domain'
  ELSE 'range type' END, count(*) FROM kind WHERE typtype IN ('e', 'd', 'r') GROUP BY 1
UNION ALL SELECT 'trigger', count(*) FROM pg_trigger g JOIN relation t ON t.oid = g.tgrelid
  WHERE NOT g.tgisinternal AND g.tgparentid = 0
UNION ALL SELECT 'rule', count(*) FROM pg_rewrite w JOIN relation t ON t.oid = w.ev_class
  WHERE w.rulename <> '_RETURN'
UNION ALL SELECT 'policy', count(*) FROM pg_policy p JOIN relation t ON t.oid = p.polrelid
UNION ALL SELECT CASE c.contype WHEN 'c' THEN 'check constraint' WHEN 'f' THEN 'foreign key'
  WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique constraint'
  ELSE 'exclusion constraint' END, count(*)
  FROM pg_constraint c JOIN relation t ON t.oid = c.conrelid
  WHERE c.contype IN ('c', 'f', 'p', 'u', 'x') AND c.conparentid = 0 GROUP BY 1
UNION ALL SELECT 'statistics object', count(*) FROM pg_statistic_ext s
  JOIN relation t ON t.oid = s.stxrelid
UNION ALL SELECT 'event trigger', count(*) FROM pg_event_trigger
  WHERE oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_event_trigger'::regclass)
UNION ALL SELECT 'publication', count(*) FROM pg_publication
UNION ALL SELECT 'foreign server', count(*) FROM pg_foreign_server
  WHERE oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_foreign_server'::regclass)
ORDER BY 1
"""


def properties(connection: Connection) -> dict[str, str]:
    """Return the properties of the database itself, as texts for an inventory's settings.

    pg_dump leaves the database's own grants, settings and comment to `--create`, which would also
    bring back the old name; `properties` turns them back into statements.
    """
    row = connection.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype,"
        " pg_get_userbyid(datdba), coalesce(shobj_description(oid, 'pg_database'), ''),"
        " datconnlimit::text, to_jsonb(pg_database), datistemplate,"
        " (SELECT spcname FROM pg_tablespace s WHERE s.oid = dattablespace)"
        " FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    encoding, collation, ctype, owner, comment, limit, record, is_template, tablespace = row
    found = {
        "server_version": _value(connection, "SHOW server_version"),
        "database": _value(connection, "SELECT current_database()"),
        "encoding": encoding,
        "collation": collation or "",
        "ctype": ctype or "",
        "owner": owner,
        "comment": comment,
        "connection_limit": limit,
        **_locale(connection, record),
        "grants": json.dumps(_grants(connection)),
        "configuration": json.dumps(_configuration(connection)),
        "tablespace": tablespace,
        "is_template": "true" if is_template else "",
        "security_labels": json.dumps(_security_labels(connection)),
        "tablespaces": json.dumps(_tablespaces(connection)),
        "extension_versions": json.dumps(extensions(connection)),
        search_paths.RECORDED: search_paths.recorded_paths(connection),
    }
    return {name: str(value) for name, value in found.items()}


_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def _locale(connection: Connection, record: dict[str, Any]) -> dict[str, str]:
    # 15 added providers; 17 renamed daticulocale to datlocale and added the builtin provider.
    if major_of(connection) < 15:
        return {"locale_provider": "libc", "locale": "", "icu_rules": ""}
    return {
        "locale_provider": _PROVIDERS.get(record["datlocprovider"], "libc"),
        "locale": record.get("datlocale") or record.get("daticulocale") or "",
        "icu_rules": record.get("daticurules") or "",
        "collation_version": record.get("datcollversion") or "",
    }


def _grants(connection: Connection) -> list[list[Any]] | None:
    """Return lists of role ("" is PUBLIC), privilege and grant option, None for the default."""
    query = "SELECT datacl FROM pg_database WHERE datname = current_database()"
    if _value(connection, query) is None:
        return None
    rows = connection.execute(
        "SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable"
        " FROM pg_database d, aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE d.datname = current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL)"
        " ORDER BY 1, 2"
    )
    return [list(row) for row in rows]


def _configuration(connection: Connection) -> list[list[str]]:
    """Return lists of role ("" is all), name and value of ALTER DATABASE/ROLE … SET."""
    rows = connection.execute(
        "SELECT coalesce(r.rolname, ''), item FROM pg_db_role_setting s"
        " CROSS JOIN LATERAL unnest(s.setconfig) item LEFT JOIN pg_roles r ON r.oid = s.setrole"
        " WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (s.setrole = 0 OR r.oid IS NOT NULL) ORDER BY 1, 2"
    )
    return [[role, *item.split("=", 1)] for role, item in rows]


def _security_labels(connection: Connection) -> list[list[str]]:
    """Return lists of provider and label of the database itself."""
    rows = connection.execute(
        "SELECT provider, label FROM pg_shseclabel WHERE classoid = 'pg_database'::regclass AND"
        " objoid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1"
    )
    return [list(row) for row in rows]


def _tablespaces(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT s.spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace"
        " WHERE s.spcname <> 'pg_global' ORDER BY 1"
    )
    return [row[0] for row in rows]


def _value(connection: Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]
