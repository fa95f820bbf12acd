"""Objects by which a restored database connects to other databases.

These are subscriptions, which stay disabled, and foreign servers that lead back to the original.
"""

from __future__ import annotations

import json

import psycopg
from psycopg import sql

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.server.connection import Connection, line_of

_SUBSCRIPTION_NAMES = "subscriptions"
_SERVER_NAMES = "servers_leading_back"


def read_external_connections(connection: Connection) -> dict[str, str]:
    """Return the external connections that a dump holds, as JSON for an inventory's settings.

    These are the names of subscriptions, which only a superuser dumps, and of foreign servers that
    lead to a database of this database's name.
    """
    database = connection.info.dbname
    is_superuser = connection.execute(_IS_SUPERUSER).fetchone() == (True,)
    found = {
        _SUBSCRIPTION_NAMES: (
            [row[0] for row in connection.execute(_SUBSCRIPTIONS)] if is_superuser else []
        ),
        _SERVER_NAMES: [row[0] for row in connection.execute(_SERVERS, (f"dbname={database}",))],
    }
    return {name: json.dumps(value) for name, value in found.items() if value}


def external_connection_names(settings: dict[str, str]) -> list[str]:
    """Return kind and name of each that `read_external_connections` recorded in `settings`."""
    return [
        *(f"subscription {name}" for name in json.loads(settings.get(_SUBSCRIPTION_NAMES, "[]"))),
        *(f"foreign server {name}" for name in json.loads(settings.get(_SERVER_NAMES, "[]"))),
    ]


def external_connection_notices(expected: Inventory, target: str) -> list[str]:
    """Return what to know of them before a restore as the database `target`, one line each."""
    settings = expected.settings or {}
    original = settings.get("database", "")
    lines = []
    names = json.loads(settings.get(_SUBSCRIPTION_NAMES, "[]"))
    if names:
        slots = " and without a slot, as theirs is the original's" if target != original else ""
        lines.append(f"subscriptions will be there disabled{slots}: {', '.join(names)}")
    servers = json.loads(settings.get(_SERVER_NAMES, "[]"))
    if servers and target != original:
        lines.append(
            f"foreign servers will lead to a database called {original!r}, not to {target!r}:"
            f" {', '.join(servers)}"
        )
    return lines


def disable_external_connections(
    connection: Connection, expected: Inventory, target: str
) -> list[str]:
    """Keep the database of `connection` from acting on others; return notes for the result.

    No publisher is contacted. In a copy, whose name `target` differs from that of the original in
    `expected`, subscriptions lose their slot: it is the original's, and dropping the copy's
    subscription would drop it there.
    """
    original = (expected.settings or {}).get("database", "")
    notes = _disabled(connection, without_slot=target != original)
    if target != original:
        notes += _leading_back(connection, original)
    return notes


def _disabled(connection: Connection, *, without_slot: bool) -> list[str]:
    names = [row[0] for row in connection.execute(_SUBSCRIPTIONS)]
    notes = []
    for name in names:
        subscription = sql.Identifier(name)
        clauses = ["DISABLE", *(["SET (slot_name = NONE)"] if without_slot else [])]
        try:
            for clause in clauses:
                statement = sql.SQL("ALTER SUBSCRIPTION {} " + clause).format(subscription)
                connection.execute(statement)
        except psycopg.Error as error:
            notes.append(f"subscription {name} could not be changed: {line_of(error)}")
    if names:
        slots = " and have no slot, as theirs is the original's" if without_slot else ""
        notes.append(
            f"subscriptions are disabled{slots}: {', '.join(names)}; enable one only where the"
            " original's does not run any more"
        )
    return notes


def _leading_back(connection: Connection, original: str) -> list[str]:
    found = [row[0] for row in connection.execute(_SERVERS, (f"dbname={original}",))]
    if not found:
        return []
    return [
        f"foreign servers lead to a database called {original!r} still, not to the copy:"
        f" {', '.join(found)}; ALTER SERVER name OPTIONS (SET dbname …) changes that"
    ]


_IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_SUBSCRIPTIONS = """
SELECT subname FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""
_SERVERS = "SELECT srvname FROM pg_foreign_server WHERE %s = ANY (srvoptions) ORDER BY 1"
