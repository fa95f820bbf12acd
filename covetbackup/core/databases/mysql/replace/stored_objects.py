"""The stored objects of a database: triggers, routines, views and events.

They cannot be renamed with its tables, and are read as statements that create each again, in this
or another database. That is done by the driver, not by the client programs: a swap that ended
halfway must be recoverable with nothing but a connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import pymysql

from covetbackup.core.databases.mysql.archive.requalify import Renaming, in_database
from covetbackup.core.databases.mysql.archive.stored_objects import body_of_trigger
from covetbackup.core.databases.mysql.archive.view_order import views_in_order
from covetbackup.core.databases.mysql.server.connection import Connection, quoted, text_of
from covetbackup.core.errors import DatabaseError

ROUTINES = ("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY")
_ENABLED = re.compile(r"( ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A trigger, routine, view or event.

    `statement` creates it in the database in use; an event disabled, though it is `enabled`.
    `session` is the variables that it keeps of the session that created it; `table` is a trigger's.
    """

    kind: str
    name: str
    statement: str
    session: tuple[tuple[str, str], ...]
    definer: str = ""
    enabled: bool = False
    table: str = ""

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}"


def read_objects(connection: Connection, database: str, *, becomes: str) -> list[StoredObject]:
    """Return all stored objects of `database`, for a database called `becomes`.

    They are in an order in which they can be created there: views may call routines. Leaves
    `database` in use. Raises `DatabaseError` for those that this account may not read.
    """
    connection.execute(f"USE {quoted(database)}")
    return [
        *_routines(connection, database),
        *read_triggers(connection, database),
        *_views(connection, renaming_for(connection, database, becomes)),
        *_events(connection, database),
    ]


def _routines(connection: Connection, database: str) -> Iterable[StoredObject]:
    query = (
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES"
        " WHERE ROUTINE_SCHEMA = %s ORDER BY ROUTINE_TYPE = 'PACKAGE BODY', ROUTINE_NAME"
    )
    for kind, name in connection.rows(query, [database]):
        row = connection.rows(f"SHOW CREATE {kind} {quoted(name)}")[0]
        yield _object(kind, name, row[2], sql_mode=row[1], collation_connection=row[4])


def read_triggers(connection: Connection, database: str) -> list[StoredObject]:
    """Return the triggers of `database`, each before those that follow it.

    Their heads are not those of SHOW CREATE, which may name the database, and triggers that come
    later; their bodies are, as information_schema takes escapes out of texts. Raises
    `DatabaseError` for a statement of unknown form.
    """
    triggers = []
    for name, table, when, definer in connection.rows(_TRIGGERS, [database]):
        qualified = f"{quoted(database)}.{quoted(name)}"
        _, mode, shown, _, collation, *_ = connection.rows(f"SHOW CREATE TRIGGER {qualified}")[0]
        body = body_of_trigger(shown)
        if body is None:
            raise DatabaseError(
                f"the statement of trigger {name!r} of {database!r} is not understood"
            )
        head = f"CREATE DEFINER={account_sql(definer)} TRIGGER {quoted(name)} {when}"
        statement = f"{head} ON {quoted(table)} FOR EACH ROW{body}"
        found = _object("TRIGGER", name, statement, sql_mode=mode, collation_connection=collation)
        triggers.append(replace(found, table=table))
    return triggers


_TRIGGERS = """
SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, concat(ACTION_TIMING, ' ', EVENT_MANIPULATION), DEFINER
FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER
"""


def renaming_for(connection: Connection, old: str, new: str) -> Renaming:
    """Return the renaming of `old` to `new` as this server compares names of databases."""
    ignore_case = connection.value("SELECT @@global.lower_case_table_names") != 0
    return Renaming(old, new, ignore_case)


def _views(connection: Connection, renaming: Renaming) -> Iterable[StoredObject]:
    for name in views_in_order(connection, renaming.old):
        row = connection.rows(f"SHOW CREATE VIEW {quoted(name)}")[0]
        statement = in_database(str(row[1]).encode(), renaming).decode()
        # Views keep no sql_mode: this is the one of the session that shows them here.
        yield _object("VIEW", name, statement, sql_mode="", collation_connection=row[3])


def _events(connection: Connection, database: str) -> Iterable[StoredObject]:
    query = (
        "SELECT EVENT_NAME, DEFINER, STATUS = 'ENABLED' FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = %s ORDER BY 1"
    )
    for name, definer, enabled in connection.rows(query, [database]):
        _, mode, zone, shown, _, collation, *_ = connection.rows(
            f"SHOW CREATE EVENT {quoted(name)}"
        )[0]
        disabled, changed = _ENABLED.subn(r"\1DISABLE", shown, count=1)
        if enabled and not changed:
            raise DatabaseError(
                f"the statement of event {name!r} of {database!r} is not understood"
            )
        found = _object(
            "EVENT", name, disabled, sql_mode=mode, time_zone=zone, collation_connection=collation
        )
        yield replace(found, definer=account_sql(definer), enabled=bool(enabled))


def _object(kind: str, name: str, statement: str | None, **session: str) -> StoredObject:
    if statement is None:
        raise DatabaseError(
            f"this account may not read the body of {kind.lower()} {name!r}",
            "restore as an account that may read all routines",
        )
    return StoredObject(kind, name, statement, tuple(session.items()))


def account_sql(definer: str) -> str:
    """Return `definer`, as information_schema has it, for a statement. A role has no host."""
    user, _, host = definer.rpartition("@")
    return f"{quoted(user)}@{quoted(host)}" if host else quoted(user)


def create_objects(
    connection: Connection, database: str, objects: Sequence[StoredObject]
) -> list[str]:
    """Create `objects` in `database`, with events disabled.

    Returns those that could not be created and why, a line each.
    """
    connection.execute(f"USE {quoted(database)}")
    failures = []
    for each in objects:
        try:
            _set_session(connection, each)
            connection.execute(each.statement)
        except pymysql.err.Error as error:
            failures.append(f"{each}: {text_of(error)}")
    _reset_session(connection)
    return failures


def _set_session(connection: Connection, each: StoredObject) -> None:
    for variable, value in each.session:
        connection.execute(f"SET SESSION {variable} = {connection.literal(value)}")


def _reset_session(connection: Connection) -> None:
    for statement in ("SET NAMES utf8mb4", *connection.version.session_statements):
        connection.execute(statement)


def create_routines(
    connection: Connection, database: str, objects: Sequence[StoredObject]
) -> list[str]:
    """Make `objects` the routines of `database`.

    Returns those that could not be created and why, a line each. Functions and procedures that are
    the same stay, with the privileges granted on them: triggers may call them meanwhile. A package
    is dropped with its body.
    """
    connection.execute(f"USE {quoted(database)}")
    same = [
        each
        for each in _routines(connection, database)
        if each in objects and each.kind in ("FUNCTION", "PROCEDURE")
    ]
    drop_objects(connection, database, ROUTINES, keep=same)
    return create_objects(connection, database, [each for each in objects if each not in same])


def drop_objects(
    connection: Connection,
    database: str,
    kinds: Sequence[str] = (),
    *,
    keep: Sequence[StoredObject] = (),
) -> None:
    """Drop the stored objects of `database`, all or those of `kinds`, except those in `keep`."""
    spared = {(each.kind, each.name) for each in keep}
    found = connection.rows(_NAMES, [database] * 4)
    if connection.version.is_mariadb:
        connection.execute("SET SESSION sql_mode = 'ORACLE'")  # else there is no DROP PACKAGE
    try:
        for kind, name in found:
            if (not kinds or kind in kinds) and (kind, name) not in spared:
                # The body of a package may have gone with it.
                connection.execute(f"DROP {kind} IF EXISTS {quoted(database)}.{quoted(name)}")
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone has no settings
            _reset_session(connection)


_NAMES = """
SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s
UNION ALL SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s
UNION ALL SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
UNION ALL SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES
  WHERE ROUTINE_SCHEMA = %s
"""


def restore_triggers(
    connection: Connection, database: str, triggers: Sequence[StoredObject]
) -> list[str]:
    """Make `triggers` those of `database` again.

    Returns those that could not be created and why, a line each. If any is missing or different all
    are created anew: one that is left would fire before those it used to follow.
    """
    if read_triggers(connection, database) == list(triggers):
        return []
    drop_objects(connection, database, ["TRIGGER"])
    return create_objects(connection, database, triggers)


def set_events_enabled(
    connection: Connection, database: str, objects: Sequence[StoredObject], *, enable: bool
) -> None:
    """Enable or disable those events of `database` that are among `objects` and `enabled` there."""
    query = "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s"
    others = connection.strings(
        query + " AND STATUS = %s", [database, "DISABLED" if enable else "ENABLED"]
    )
    changing = [each for each in objects if each.enabled and each.name in others]
    for event in changing:
        # Without a definer and the session's settings they would become ours.
        _set_session(connection, event)
        connection.execute(
            f"ALTER DEFINER={event.definer} EVENT {quoted(database)}.{quoted(event.name)}"
            f" {'ENABLE' if enable else 'DISABLE'}"
        )
    if changing:
        _reset_session(connection)
