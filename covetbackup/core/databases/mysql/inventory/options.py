"""Options of a database itself, which no dump holds.

These are character set and collation, MariaDB's comment, MySQL's default encryption and its
read-only state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pymysql

from covetbackup.core.databases.mysql.server.connection import Connection, quoted, text_of
from covetbackup.core.errors import BadSetting

_COMMENTS_SINCE = (10, 5, 0)
_ENCRYPTION_SINCE = (8, 0, 16)
_READ_ONLY_SINCE = (8, 0, 22)
_SCHEMA = "FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"


def read_options(connection: Connection, database: str) -> dict[str, str]:
    """Return the options of `database` as the settings of a backup store them.

    There are none if the database does not exist; those that its server does not know, or that have
    their default, are left out.
    """
    columns = ["DEFAULT_CHARACTER_SET_NAME", "DEFAULT_COLLATION_NAME"]
    names = ["character_set", "collation"]
    if _has_comment(connection):
        columns.append("SCHEMA_COMMENT")
        names.append("comment")
    if _has_encryption(connection):
        columns.append("nullif(DEFAULT_ENCRYPTION, 'NO')")
        names.append("encryption")
    found = connection.rows(f"SELECT {', '.join(columns)} {_SCHEMA}", [database])
    options = dict(zip(names, found[0], strict=True)) if found else {}
    if is_read_only(connection, database):
        options["read_only"] = "1"
    return {name: str(value) for name, value in options.items() if value}


def options_sql(connection: Connection, options: Mapping[str, str]) -> str:
    """Return `options` for a statement that creates or alters a database.

    They are from `read_options` or from the settings of a backup. An empty comment is included, so
    that an earlier one does not stay. Raises `BadSetting` for an invalid character set or
    collation.
    """
    parts = []
    if options.get("character_set") and options.get("collation"):
        charset, collation = (_word(options[key]) for key in ("character_set", "collation"))
        parts.append(f"CHARACTER SET {charset} COLLATE {collation}")
    if _has_comment(connection):
        parts.append(f"COMMENT {connection.literal(options.get('comment', ''))}")
    if _has_encryption(connection) and options.get("encryption"):
        parts.append("ENCRYPTION 'Y'")
    return " ".join(parts)


def is_read_only(connection: Connection, database: str) -> bool:
    """Return whether `database` is read-only (MySQL)."""
    if connection.version.is_mariadb or connection.version.number < _READ_ONLY_SINCE:
        return False
    query = "SELECT OPTIONS FROM information_schema.SCHEMATA_EXTENSIONS WHERE SCHEMA_NAME = %s"
    return "READ ONLY=1" in str(connection.value(query, [database]) or "")


def make_read_only(connection: Connection, database: str) -> str:
    """Make `database` read-only (MySQL); return why that failed, "" if it did not."""
    try:
        connection.execute(f"ALTER DATABASE {quoted(database)} READ ONLY = 1")
    except pymysql.err.Error as error:
        return (
            f"{database!r} is not read-only, as the original was: {text_of(error)};"
            f" run ALTER DATABASE {quoted(database)} READ ONLY = 1"
        )
    return ""


def _has_comment(connection: Connection) -> bool:
    return connection.version.is_mariadb and connection.version.number >= _COMMENTS_SINCE


def _has_encryption(connection: Connection) -> bool:
    return not connection.version.is_mariadb and connection.version.number >= _ENCRYPTION_SINCE


def _word(name: str) -> str:
    # From a manifest, so never pasted into a statement unseen.
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise BadSetting(f"{name!r} is not a character set or collation")
    return name
