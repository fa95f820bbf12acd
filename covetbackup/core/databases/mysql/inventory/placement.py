"""Storage locations in table definitions: directories and general tablespaces.

They are those of the original server: another one need not have them, and two databases could not
have the same table in them.
"""

from __future__ import annotations

import re

import pymysql

from covetbackup.core.databases.mysql.archive.spool import Script, rewritten
from covetbackup.core.databases.mysql.server.connection import Connection

_NAME = rb"`(?:[^`]|``)*`"
_TEXT = rb"'(?:[^'\\]|\\.|'')*'"
_LOCATION = re.compile(
    _TEXT
    + rb"|" + _NAME
    + rb"|(?P<directory> (?:DATA|INDEX) DIRECTORY ?= ?" + _TEXT + rb")"
    + rb"|(?P<tablespace> /\*!50100 TABLESPACE (?P<name>" + _NAME + rb") \*/)",
    re.DOTALL,
)  # fmt: skip


def without_locations(script: Script, tablespaces: set[str]) -> tuple[Script, list[str]]:
    """Return the table definitions `script` without storage locations, and what was left out.

    General tablespaces among `tablespaces` stay.
    """
    left_out: dict[str, None] = {}

    def keep(found: re.Match[bytes]) -> bytes:
        if found["tablespace"]:
            name = found["name"].decode()[1:-1].replace("``", "`")
            if name in tablespaces:
                return found[0]
            left_out[f"tablespace {name}"] = None
            return b""
        if found["directory"]:
            left_out[found[0].decode(errors="replace").strip().lower()] = None
            return b""
        return found[0]

    return rewritten(script, _LOCATION, keep), list(left_out)


def tablespaces_of(connection: Connection) -> set[str]:
    """Return the names of a server's general tablespaces; none if this account may not see them."""
    if connection.version.is_mariadb:
        return set()
    try:
        return set(connection.strings(_TABLESPACES))
    except pymysql.err.Error:
        return set()


_TABLESPACES = "SELECT TABLESPACE_NAME FROM information_schema.TABLESPACES_EXTENSIONS"
