"""Checks that warn of what a restored database will lack."""

from __future__ import annotations

from collections.abc import Iterator

from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.postgresql.backup import unread
from covetbackup.core.databases.postgresql.restore import check_server
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.errors import as_sentence


def losses(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Yield a warning if the tablespace cannot be used, and for each thing not in the backup."""
    _, why = check_server.own_tablespace(connection, planned.expected)
    if why:
        fix = "Create it, or grant it to the restoring role, if its disk matters."
        yield Check(Level.WARNING, "Database's tablespace", as_sentence(why), fix)
    if planned.resolved is None:
        for line in unread.notes(planned.expected):
            yield Check(Level.WARNING, "Not in the backup", as_sentence(line))
