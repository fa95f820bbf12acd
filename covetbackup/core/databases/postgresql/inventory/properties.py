"""Properties of a database that are not in its dump: owner, grants, settings, comment, labels.

pg_dump writes them only for `--create`, which would also bring back the old name. They are
recorded in an inventory's settings (see `objects`) and turned back into statements here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import errors, sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of
from covetbackup.core.errors import BadSetting

UNKNOWN_HERE = (
    errors.UndefinedObject,
    errors.InvalidParameterValue,
    errors.FeatureNotSupported,
)
"""A setting, or a provider of labels, that the server does not have: no reason to refuse the
rows."""


def property_statements(name: str, expected: Inventory, *, keep_owner: bool) -> list[sql.Composed]:
    """Return the statements that give the database `name` the properties that `expected` records.

    Without `keep_owner` no role of the original is named: the grants are the defaults, and
    settings of single roles are left out.
    """
    settings = expected.settings or {}
    database = sql.Identifier(name)
    statements = [
        sql.SQL("ALTER DATABASE {} {}").format(database, setting)
        for setting in _configuration(settings)
    ]
    if settings.get("comment"):
        comment = sql.Literal(settings["comment"])
        statements.append(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, comment))
    if settings.get("connection_limit", "-1") != "-1":
        limit = sql.Literal(int(settings["connection_limit"]))
        statements.append(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit))
    statements += _labels_and_template(database, settings)
    if not keep_owner:
        return [*statements, *_grants(database, None)]
    grants = json.loads(settings.get("grants", "null"))
    if settings.get("owner"):
        # First: grants made before would be rewritten as if the new owner had made them.
        owner = sql.Identifier(settings["owner"])
        statements.append(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
        if grants is not None:  # those of the owner are among them, unless they were revoked
            revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM {}")
            statements.append(revoke.format(database, owner))
    statements += _grants(database, grants)
    return [*statements, *_role_configuration(name, settings)]


def dry_run(
    connection: Connection, statements: Sequence[sql.Composed]
) -> tuple[list[sql.Composed], list[tuple[str, psycopg.Error]]]:
    """Run `statements` and roll them back.

    Returns those that work, and the text and error of each that fails.
    """
    possible, failures = [], []
    with connection.transaction(force_rollback=True):
        for statement in statements:
            try:
                with connection.transaction():
                    connection.execute(statement)
                possible.append(statement)
            except psycopg.Error as error:
                failures.append((f"{statement.as_string(connection)}: {line_of(error)}", error))
    return possible, failures


def _labels_and_template(
    database: sql.Identifier, settings: dict[str, str]
) -> Iterator[sql.Composed]:
    for provider, label in json.loads(settings.get("security_labels", "[]")):
        statement = sql.SQL("SECURITY LABEL FOR {} ON DATABASE {} IS {}")
        yield statement.format(sql.Identifier(provider), database, sql.Literal(label))
    if settings.get("is_template") == "true":
        yield sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database)


def _grants(database: sql.Identifier, grants: list[list[object]] | None) -> list[sql.Composed]:
    if grants is None:
        return [sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC").format(database)]
    return [
        sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            _privilege(str(privilege)),
            database,
            sql.Identifier(str(role)) if role else sql.SQL("PUBLIC"),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )
        for role, privilege, grantable in grants
    ]


def _privilege(name: str) -> sql.SQL:
    # From a manifest, so never pasted into a statement unseen.
    known = {"CONNECT": "CONNECT", "CREATE": "CREATE", "TEMPORARY": "TEMPORARY"}
    if name not in known:
        raise BadSetting(f"{name!r} is not a privilege on databases")
    return sql.SQL(known[name])


def _configuration(settings: dict[str, str]) -> list[sql.Composed]:
    return [_assignment(name, value) for role, name, value in _recorded(settings) if not role]


def _role_configuration(database: str, settings: dict[str, str]) -> list[sql.Composed]:
    return [
        sql.SQL("ALTER ROLE {} IN DATABASE {} {}").format(
            sql.Identifier(role), sql.Identifier(database), _assignment(name, value)
        )
        for role, name, value in _recorded(settings)
        if role
    ]


def _recorded(settings: dict[str, str]) -> list[list[str]]:
    recorded: list[list[str]] = json.loads(settings.get("configuration", "[]"))
    return recorded


# Their stored value is a list of quoted names, each of which must become one literal again.
_LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)


def _assignment(name: str, value: str) -> sql.Composed:
    literals: sql.Composable = sql.Literal(value)
    if name.lower() in _LISTS:
        names = re.findall(r'"((?:[^"]|"")*)"|([^,\s"]+)', value)
        parts = [sql.Literal(quoted.replace('""', '"') or plain) for quoted, plain in names]
        literals = sql.SQL(", ").join(parts or [sql.Literal("")])
    return sql.SQL("SET {} TO {}").format(sql.Identifier(name), literals)
