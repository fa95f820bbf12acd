"""The checks of a PostgreSQL database before it is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.postgresql.replace import swap
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import CovetError
from covetbackup.core.text import size_text


def check_replacement(connection: Connection, name: str) -> Iterator[Check]:
    """Check whether the database `name` can be replaced, and what that does to its sessions."""
    try:
        swap.refuse_irreplaceable(connection, name)
    except CovetError as error:
        yield failed("Name", error)
        return
    retained_as = swap.free_retained_name(connection, name, _now_of(connection))
    size = connection.execute(_SIZE, (name,)).fetchone()
    much = f" ({size_text(size[0])})" if size and size[0] is not None else ""
    detail = f"{name} exists{much}; it will be retained as {retained_as}, or a later time."
    yield Check(Level.PASS, "Name", detail)
    yield _live_sessions(connection, name)
    yield from _slots(connection, name)


_SIZE = """
SELECT CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END
FROM pg_database WHERE datname = %s
"""


def _live_sessions(connection: Connection, name: str) -> Check:
    count = len(swap.sessions_in(connection, name))
    if not count:
        return Check(Level.PASS, "Live sessions", f"No sessions are connected to {name}.")
    beyond = connection.execute(_BEYOND, (name,)).fetchone()
    many = f"{count} session{'s are' if count > 1 else ' is'} connected to {name}"
    if beyond and beyond[0]:
        fix = "GRANT pg_signal_backend to the restoring role, or end these sessions yourself."
        detail = f"{many}; {beyond[0]} cannot be ended by this role."
        return Check(Level.FAIL, "Live sessions", detail, fix)
    fix = "Stop applications that do not reconnect automatically."
    return Check(Level.WARNING, "Live sessions", f"{many} and will be ended by the swap.", fix)


# A role may end sessions of its own roles, with pg_signal_backend all but superusers'.
_BEYOND = """
SELECT count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid,
  (SELECT rolsuper AS is_super FROM pg_roles WHERE rolname = current_user) me
WHERE a.datname = %s AND a.pid <> pg_backend_pid() AND NOT me.is_super
  AND (r.rolsuper OR NOT pg_has_role(current_user, a.usesysid, 'USAGE')
    AND NOT pg_has_role(current_user, 'pg_signal_backend', 'USAGE'))
"""


def _slots(connection: Connection, name: str) -> Iterator[Check]:
    """Warn of logical slots, which stay with the old database, as do subscribers."""
    query = "SELECT slot_name FROM pg_replication_slots WHERE database = %s ORDER BY 1"
    names = [slot for (slot,) in connection.execute(query, (name,))]
    if names:
        detail = f"They stay with the retained database: {', '.join(names)}."
        fix = "Subscribers must be set up again on the new one."
        yield Check(Level.WARNING, "Replication slots", detail, fix)


def _now_of(connection: Connection) -> datetime:
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment
