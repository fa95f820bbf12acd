"""The privileges of the backup account. What it cannot read is named with the GRANT it takes.

The server hides what an account has no privileges on: without privileges on the whole database a
table would be left out silently. So they must be on the database, not on single tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.mysql.inventory.tables import TableListing
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted, text_of
from covetbackup.core.errors import Unreadable

_NAMED = 20  # objects named in a message; the rest are counted
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\S.*?) TO ", re.DOTALL)
_REVOKE = re.compile(r"REVOKE (?P<what>.+?) ON (?P<where>\S.*?) FROM ", re.DOTALL)
_COLUMNS = re.compile(r"\([^)]*\)")
_NEEDED = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_ROUTINE_RIGHTS = ("EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE")


@dataclass(frozen=True, slots=True)
class Rights:
    """The privileges of an account on the whole of one database, and on all databases."""

    here: frozenset[str]
    everywhere: frozenset[str]


def granted(connection: Connection, database: str) -> Rights:
    """Return the privileges of the current account on `database` and on all databases.

    "ALL PRIVILEGES" comes with the privileges that matter here, not with all it stands for.
    """
    here: set[str] = set()
    everywhere: set[str] = set()
    lines = _grants(connection)
    for line in lines:
        match = _GRANT.match(line)
        if match is None:
            continue  # a role, or PROXY
        rights = _listed(match["what"])
        if rights & {"ALL PRIVILEGES", "ALL"}:
            rights |= {*_NEEDED, *_ROUTINE_RIGHTS}
            if connection.version.is_mariadb and connection.version.number >= (11, 3, 0):
                rights.add("SHOW CREATE ROUTINE")
        if match["where"] == "*.*":
            everywhere |= rights
        elif covers(match["where"], database):
            here |= rights
    taken = _taken_back(lines, database)
    return Rights(frozenset((here | everywhere) - taken), frozenset(everywhere))


def _taken_back(lines: list[str], database: str) -> set[str]:
    """Return what an account with privileges on all databases lacks on this one: MySQL's partial
    revokes."""
    matches = filter(None, map(_REVOKE.match, lines))
    return {
        right
        for match in matches
        if covers(match["where"], database)
        for right in _listed(match["what"])
    }


def _listed(rights: str) -> set[str]:
    return {right.strip().upper() for right in _COLUMNS.sub("", rights).split(",")}


def _grants(connection: Connection) -> list[str]:
    if connection.version.is_mariadb:
        return connection.strings("SHOW GRANTS")
    roles = connection.value("SELECT CURRENT_ROLE()")
    if roles in (None, "", "NONE"):
        return connection.strings("SHOW GRANTS")
    return connection.strings(f"SHOW GRANTS FOR CURRENT_USER() USING {roles}")


def covers(where: str, database: str) -> bool:
    """Return whether ``where``, such as `shop`.*, matches the whole of `database`.

    The characters % and _ are wildcards unless escaped by a backslash.
    """
    if not where.endswith(".*"):
        return False
    name = where[:-2].strip("`").replace("``", "`")
    pattern = ""
    for sign in re.findall(r"\\.|.", name, re.DOTALL):
        wild = {"%": ".*", "_": "."}.get(sign)
        pattern += wild or re.escape(sign[1:] if sign[:1] == "\\" and len(sign) > 1 else sign)
    return re.fullmatch(pattern, database, re.DOTALL) is not None


def refuse_unreadable(connection: Connection, listing: TableListing) -> None:
    """Raise `Unreadable` naming what this account cannot dump, with the GRANTs that help."""
    database = connection.settings.database
    rights = granted(connection, database)
    gaps: list[tuple[str, str]] = []
    place = f"{quoted(database)}.*"
    for right in _NEEDED:
        if right not in rights.here:
            gaps += [(what, f"{right} ON {place}") for what in _behind(right, connection, listing)]
    gaps += _routines(connection, rights)
    gaps += _functions_of_views(connection, listing)
    if gaps:
        raise _unreadable(connection, gaps)


def _behind(right: str, connection: Connection, listing: TableListing) -> list[str]:
    """Return what an account without `right` on the whole database cannot read."""
    everything = {
        "SELECT": "tables hidden from this account",
        "SHOW VIEW": "definitions of views",
        "TRIGGER": "triggers",
        "EVENT": "events",
    }
    if right == "SELECT":
        closed = [table.name for table in listing.tables if not _opens(connection, table.name)]
        return [*(f"table {name}" for name in closed), everything[right]]
    if right == "SHOW VIEW" and listing.views:
        return [f"view {name}" for name in listing.views]
    return [everything[right]]


def _opens(connection: Connection, table: str) -> bool:
    try:
        connection.execute(
            f"SELECT * FROM {quoted(connection.settings.database)}.{quoted(table)} LIMIT 0"
        )
    except pymysql.err.Error:
        return False
    return True


def _functions_of_views(connection: Connection, listing: TableListing) -> list[tuple[str, str]]:
    """Return views whose functions this account may not run, with the privilege: MariaDB's dump
    program lists the columns of each view, which takes EXECUTE on the functions that the view
    calls, in other databases too."""
    gaps = []
    for view in listing.views:
        place = f"{quoted(connection.settings.database)}.{quoted(view)}"
        try:
            connection.execute(f"SHOW FIELDS FROM {place}")
        except pymysql.err.Error as error:
            denied = _DENIED_ROUTINE.search(text_of(error))
            if code_of(error) == ER.PROCACCESS_DENIED_ERROR and denied:
                gaps.append((f"view {view}", f"EXECUTE ON {quoted(denied[1])}.*"))
    return gaps


_DENIED_ROUTINE = re.compile(r"for routine '(.*)\.[^.]*'")

_HIDDEN_ROUTINES = """
SELECT concat(lower(ROUTINE_TYPE), ' ', ROUTINE_NAME) FROM information_schema.ROUTINES
WHERE ROUTINE_SCHEMA = %s AND ROUTINE_DEFINITION IS NULL ORDER BY 1
"""


def _routines(connection: Connection, rights: Rights) -> list[tuple[str, str]]:
    if "SELECT" in rights.everywhere or "SHOW CREATE ROUTINE" in rights.here:
        return []
    if "SHOW_ROUTINE" in rights.everywhere or _reads_routine_table(connection):
        return []
    grant = "SELECT ON mysql.proc" if connection.version.is_mariadb else "SHOW_ROUTINE ON *.*"
    if not rights.here.intersection(_ROUTINE_RIGHTS):
        return [("procedures and functions", grant)]
    hidden = connection.strings(_HIDDEN_ROUTINES, [connection.settings.database])
    return [(f"the body of {name}", grant) for name in hidden]


def _reads_routine_table(connection: Connection) -> bool:
    if not connection.version.is_mariadb:
        return False
    try:
        connection.execute("SELECT 1 FROM mysql.proc LIMIT 0")
    except pymysql.err.Error:
        return False
    return True


def _unreadable(connection: Connection, gaps: list[tuple[str, str]]) -> Unreadable:
    account = account_of(connection)
    names = [name for name, _ in gaps]
    more = len(names) - _NAMED
    listed = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    grants = [f"GRANT {grant} TO {account};" for grant in dict.fromkeys(grant for _, grant in gaps)]
    return Unreadable(
        f"the backup account cannot read: {listed}",
        "run as an administrator: " + " ".join(grants),
    )


def account_of(connection: Connection) -> str:
    """Return the account of this session, quoted as in a GRANT."""
    user, _, host = str(connection.value("SELECT CURRENT_USER()")).rpartition("@")
    return f"{connection.literal(user)}@{connection.literal(host)}"
