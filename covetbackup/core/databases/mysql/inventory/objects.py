"""Objects of a database besides rows: objects by kind, sequences, definers, properties.

Reads information_schema only. Values are strings, ready for an `Inventory`.
"""

from __future__ import annotations

import json

import pymysql

from covetbackup.core.databases.inventory import SequenceFacts
from covetbackup.core.databases.mysql.backup.position import branch_of
from covetbackup.core.databases.mysql.inventory.options import read_options
from covetbackup.core.databases.mysql.inventory.tables import TableListing
from covetbackup.core.databases.mysql.server.connection import Connection, quoted

_OBJECTS = """
SELECT 'view', count(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s
UNION ALL SELECT 'trigger', count(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
UNION ALL SELECT lower(ROUTINE_TYPE), count(*) FROM information_schema.ROUTINES
  WHERE ROUTINE_SCHEMA = %s GROUP BY 1
UNION ALL SELECT 'event', count(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s
UNION ALL SELECT 'index', count(DISTINCT TABLE_NAME, INDEX_NAME)
  FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s
UNION ALL SELECT 'foreign key', count(*) FROM information_schema.REFERENTIAL_CONSTRAINTS
  WHERE CONSTRAINT_SCHEMA = %s
UNION ALL SELECT 'check', count(*) FROM information_schema.CHECK_CONSTRAINTS
  WHERE CONSTRAINT_SCHEMA = %s
UNION ALL SELECT 'partition', count(PARTITION_NAME) FROM information_schema.PARTITIONS
  WHERE TABLE_SCHEMA = %s
"""
PROGRAMS = ("view", "trigger", "procedure", "function", "package", "package body", "event")
"""The kinds of objects that hold statements, and have a definer."""


def object_counts(connection: Connection, database: str) -> dict[str, int]:
    """Return the number of objects by kind, without kinds of which there are none."""
    rows = connection.rows(_OBJECTS, [database] * _OBJECTS.count("%s"))
    return {str(kind): int(count) for kind, count in rows if count}


def with_triggers(connection: Connection, database: str) -> set[str]:
    """Return the names of the tables that have triggers."""
    query = "SELECT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s"
    return set(connection.strings(query, [database]))


def sequence_facts(
    connection: Connection, database: str, listing: TableListing
) -> tuple[SequenceFacts, ...]:
    """Return each sequence with the value it would return next after a restart of the server."""
    return tuple(
        SequenceFacts(
            "",
            name,
            int(
                connection.value(
                    f"SELECT next_not_cached_value FROM {quoted(database)}.{quoted(name)}"
                )
            ),
        )
        for name in listing.sequences
    )


_DEFINERS = """
SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s
UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s
UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s
ORDER BY 1
"""


def definers(connection: Connection, database: str) -> tuple[str, ...]:
    """Return the definers, as user@host, of views, triggers, routines and events."""
    found = connection.strings(_DEFINERS, [database] * _DEFINERS.count("%s"))
    return tuple(dict.fromkeys(found))


def properties(connection: Connection, database: str) -> dict[str, str]:
    """Return the properties that a restore must recreate around the dump, and the server's."""
    names = ("lower_case_table_names", "max_allowed_packet", "time_zone", "log_bin")
    variables = {name: str(connection.value(f"SELECT @@global.{name}")) for name in names}
    return {
        "flavour": connection.version.flavour.value,
        "server_version": connection.version.text,
        "database": database,
        "character_set": "",
        "collation": "",
        **read_options(connection, database),
        "branch": branch_of(connection),
        "engines": json.dumps(_engines(connection, database)),
        **variables,
    }


def _engines(connection: Connection, database: str) -> dict[str, int]:
    rows = connection.rows(
        "SELECT ENGINE, count(*) FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = %s AND ENGINE IS NOT NULL GROUP BY 1 ORDER BY 1",
        [database],
    )
    return {str(engine): int(count) for engine, count in rows}


def missing_accounts(connection: Connection, accounts: tuple[str, ...]) -> list[str]:
    """Return which of `accounts` (user@host) this server lacks.

    None is returned if this account may not read them.
    """
    query = "SELECT concat(User, '@', Host) FROM mysql.user"
    try:
        known = set(connection.strings(query))
        if connection.version.is_mariadb:
            known |= set(connection.strings("SELECT User FROM mysql.user WHERE is_role = 'Y'"))
    except pymysql.err.Error:
        return []
    return [account for account in accounts if account not in known and account.strip("@")]
