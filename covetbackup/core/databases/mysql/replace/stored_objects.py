"""What of a database cannot move with its tables: triggers, routines, views and events. Read as
statements that create each again, in this database or in another one.

Through the driver, not the client programs: whoever finds a replacement that died halfway has to be
able to go on with nothing but a connection.
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
_AWAKE = re.compile(r"( ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """`statement` creates it in the database in use; an event asleep, though it is `enabled`.
    `session` is what it remembers of the session that made it, `table` whose trigger it is."""

    kind: str
    name: str
    statement: str
    session: tuple[tuple[str, str], ...]
    definer: str = ""
    enabled: bool = False
    table: str = ""

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.name}"


def read_stored(connection: Connection, database: str, *, becomes: str) -> list[StoredObject]:
    """In an order in which they can be created in the database that `database` `becomes`: views may
    call routines. Raises `DatabaseError` for what this account may not read. Leaves `database` in
    use."""
    connection.execute(f"USE {quoted(database)}")
    return [
        *_routines(connection, database),
        *read_triggers(connection, database),
        *_views(connection, renaming_on(connection, database, becomes)),
        *_events(connection, database),
    ]


def _routines(connection: Connection, database: str) -> Iterable[StoredObject]:
    query = (
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES"
        " WHERE ROUTINE_SCHEMA = %s ORDER BY ROUTINE_TYPE = 'PACKAGE BODY', ROUTINE_NAME"
    )
    for kind, name in connection.rows(query, [database]):
        row = connection.rows(f"SHOW CREATE {kind} {quoted(name)}")[0]
        yield _stored(kind, name, row[2], sql_mode=row[1], collation_connection=row[4])


def read_triggers(connection: Connection, database: str) -> list[StoredObject]:
    """Heads are not as SHOW CREATE has them, which may name the database, and triggers that come
    later; bodies are, as information_schema takes escapes out of texts. Raises `DatabaseError`."""
    triggers = []
    for name, table, when, definer in connection.rows(_TRIGGERS, [database]):
        place = f"{quoted(database)}.{quoted(name)}"
        _, mode, shown, _, collation, *_ = connection.rows(f"SHOW CREATE TRIGGER {place}")[0]
        body = body_of_trigger(shown)
        if body is None:
            raise DatabaseError(f"trigger {name!r} of {database!r} is in a form not known here")
        head = f"CREATE DEFINER={account(definer)} TRIGGER {quoted(name)} {when} ON {quoted(table)}"
        statement = f"{head} FOR EACH ROW{body}"
        found = _stored("TRIGGER", name, statement, sql_mode=mode, collation_connection=collation)
        triggers.append(replace(found, table=table))
    return triggers


_TRIGGERS = """
SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, concat(ACTION_TIMING, ' ', EVENT_MANIPULATION), DEFINER
FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER
"""


def renaming_on(connection: Connection, old: str, new: str) -> Renaming:
    """Return how `old` is called `new` in what this server writes."""
    folded = connection.value("SELECT @@global.lower_case_table_names") != 0
    return Renaming(old, new, folded)


def _views(connection: Connection, renaming: Renaming) -> Iterable[StoredObject]:
    for name in views_in_order(connection, renaming.old):
        row = connection.rows(f"SHOW CREATE VIEW {quoted(name)}")[0]
        statement = in_database(str(row[1]).encode(), renaming).decode()
        # Views keep no sql_mode: this is the one in which they are shown here.
        yield _stored("VIEW", name, statement, sql_mode="", collation_connection=row[3])


def _events(connection: Connection, database: str) -> Iterable[StoredObject]:
    query = (
        "SELECT EVENT_NAME, DEFINER, STATUS = 'ENABLED' FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = %s ORDER BY 1"
    )
    for name, definer, enabled in connection.rows(query, [database]):
        _, mode, zone, shown, _, collation, *_ = connection.rows(
            f"SHOW CREATE EVENT {quoted(name)}"
        )[0]
        asleep, changed = _AWAKE.subn(r"\1DISABLE", shown, count=1)
        if enabled and not changed:
            raise DatabaseError(f"event {name!r} of {database!r} is in a form not known here")
        found = _stored(
            "EVENT", name, asleep, sql_mode=mode, time_zone=zone, collation_connection=collation
        )
        yield replace(found, definer=account(definer), enabled=bool(enabled))


def _stored(kind: str, name: str, statement: str | None, **session: str) -> StoredObject:
    if statement is None:
        raise DatabaseError(
            f"this account may not read the body of {kind.lower()} {name!r}",
            "restore as an account that may read all routines",
        )
    return StoredObject(kind, name, statement, tuple(session.items()))


def account(definer: str) -> str:
    """`definer`, as information_schema has it, in a statement. A role has no host."""
    user, _, host = definer.rpartition("@")
    return f"{quoted(user)}@{quoted(host)}" if host else quoted(user)


def create_stored(
    connection: Connection, database: str, things: Sequence[StoredObject]
) -> list[str]:
    """Create `things` in `database`, events asleep; what was wrong with those that could not be."""
    connection.execute(f"USE {quoted(database)}")
    problems = []
    for thing in things:
        try:
            _set_session(connection, thing)
            connection.execute(thing.statement)
        except pymysql.err.Error as error:
            problems.append(f"{thing}: {text_of(error)}")
    _as_usual(connection)
    return problems


def _set_session(connection: Connection, thing: StoredObject) -> None:
    for variable, value in thing.session:
        connection.execute(f"SET SESSION {variable} = {connection.literal(value)}")


def _as_usual(connection: Connection) -> None:
    for statement in ("SET NAMES utf8mb4", *connection.version.session_statements):
        connection.execute(statement)


def create_routines(
    connection: Connection, database: str, things: Sequence[StoredObject]
) -> list[str]:
    """Make `things` the routines of `database`; what was wrong with those that could not be made.

    Functions and procedures that are the same stay, with the rights granted on them: triggers may
    call them meanwhile. A package goes with its body.
    """
    connection.execute(f"USE {quoted(database)}")
    same = [
        thing
        for thing in _routines(connection, database)
        if thing in things and thing.kind in ("FUNCTION", "PROCEDURE")
    ]
    drop_stored(connection, database, ROUTINES, but=same)
    return create_stored(connection, database, [each for each in things if each not in same])


def drop_stored(
    connection: Connection,
    database: str,
    kinds: Sequence[str] = (),
    *,
    but: Sequence[StoredObject] = (),
) -> None:
    """Drop all there are in `database`, or those of `kinds`, `but` not these."""
    kept = {(thing.kind, thing.name) for thing in but}
    found = connection.rows(_NAMES, [database] * 4)
    if connection.version.is_mariadb:
        connection.execute("SET SESSION sql_mode = 'ORACLE'")  # else there is no DROP PACKAGE
    try:
        for kind, name in found:
            if (not kinds or kind in kinds) and (kind, name) not in kept:
                # The body of a package may have gone with it.
                connection.execute(f"DROP {kind} IF EXISTS {quoted(database)}.{quoted(name)}")
    finally:
        with suppress(pymysql.err.Error):  # a session that is gone remembers nothing
            _as_usual(connection)


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
    """`triggers` are those of `database` again; what was wrong with those that could not be made.

    All are made anew, if any is missing or another's: one that is left would come before those it
    followed.
    """
    if read_triggers(connection, database) == list(triggers):
        return []
    drop_stored(connection, database, ["TRIGGER"])
    return create_stored(connection, database, triggers)


def set_events_enabled(
    connection: Connection, database: str, things: Sequence[StoredObject], *, enable: bool
) -> None:
    """Wake, or put to sleep, the events among `things` that are there and meant to be awake."""
    query = "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s"
    others = connection.strings(
        query + " AND STATUS = %s", [database, "DISABLED" if enable else "ENABLED"]
    )
    changing = [thing for thing in things if thing.enabled and thing.name in others]
    for event in changing:
        # Without a definer and the session's settings they would become ours.
        _set_session(connection, event)
        connection.execute(
            f"ALTER DEFINER={event.definer} EVENT {quoted(database)}.{quoted(event.name)}"
            f" {'ENABLE' if enable else 'DISABLE'}"
        )
    if changing:
        _as_usual(connection)
