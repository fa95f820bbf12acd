"""The checks of a MySQL or MariaDB database before it is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace import retained
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.errors import CovetError
from covetbackup.core.text import size_text


def check_replacement(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Yield whether the existing database can be replaced, and which sessions use it."""
    name = planned.request.database
    try:
        retained.refuse_irreplaceable(connection, name)
        retained.refuse_stationary(planned.expected)
    except CovetError as error:
        yield failed("Name", error)
        return
    retained_as = retained.free_retained_name(connection, name, _now_of(connection))
    much = size_text(list_tables(connection, name).size_bytes)
    detail = f"{name} exists ({much}); it will be retained as {retained_as}, or later."
    yield Check(Level.PASS, "Name", detail)
    yield _live_sessions(connection, name)


def _live_sessions(connection: Connection, name: str) -> Check:
    count = len(retained.sessions_in(connection, name))
    if not count:
        return Check(Level.PASS, "Live sessions", f"No visible session is using {name}.")
    detail = (
        f"{count} session{'s are' if count > 1 else ' is'} using {name}. They wait for the swap,"
        " and then go on with the restored tables; an open transaction can hold it off."
    )
    return Check(Level.WARNING, "Live sessions", detail, "Stop the applications first if possible.")


def _now_of(connection: Connection) -> datetime:
    moment: datetime = connection.value("SELECT UTC_TIMESTAMP()")
    return moment.replace(tzinfo=UTC)
