"""Search paths that a database is used with: recorded by a backup, tried again by a restore."""

from __future__ import annotations

import json
from collections.abc import Iterator

from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.server.connection import Connection

RECORDED = "search_paths"
"""JSON: values of search_path, the likeliest first."""
_MOST = 10
_DEFAULT = '"$user", public'


def recorded_paths(connection: Connection) -> str:
    """Return the search paths that a backup records, as JSON.

    They are the database's own, that of the session, and those of roles, in which "$user" is
    replaced by the role.
    """
    found = []
    for role, path in connection.execute(_PATHS):
        user = sql.Identifier(role).as_string(connection) if role else '"$user"'
        found.append(path.replace('"$user"', user))
    return json.dumps(list(dict.fromkeys(found))[:_MOST])


def paths_of(expected: Inventory) -> list[str]:
    """Return the search paths to try in a restore of `expected`, the likeliest first.

    Where a backup has no record of them, they are those that the database and its roles have as
    settings.
    """
    settings = expected.settings or {}
    if RECORDED in settings:
        paths: list[str] = json.loads(settings[RECORDED])
    else:
        paths = list(_configured(settings))
    return [path for path in dict.fromkeys((*paths, _DEFAULT)) if path.strip() not in ("", '""')]


def _configured(settings: dict[str, str]) -> Iterator[str]:
    for role, name, value in json.loads(settings.get("configuration", "[]")):
        if name == "search_path":
            user = '"' + role.replace('"', '""') + '"' if role else '"$user"'
            yield value.replace('"$user"', user)


_PATHS = """
WITH setting AS (
  SELECT coalesce(r.rolname, '') AS role, s.setdatabase, substr(item, 13) AS path
  FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS item
  LEFT JOIN pg_roles r ON r.oid = s.setrole
  WHERE starts_with(item, 'search_path=') AND (s.setrole = 0 OR r.oid IS NOT NULL)
    AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
)
SELECT role, path FROM (
  SELECT role, path, CASE WHEN role = '' THEN 0 WHEN setdatabase <> 0 THEN 2 ELSE 3 END AS place
  FROM setting
  UNION ALL SELECT '', reset_val, 1 FROM pg_settings WHERE name = 'search_path'
) AS found ORDER BY place, role
"""
