"""The checks of a PostgreSQL server before a database is created or replaced there."""

from __future__ import annotations

from collections.abc import Iterator

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.postgresql.replace import checks as replace_checks
from covetbackup.core.databases.postgresql.restore import scratch
from covetbackup.core.databases.postgresql.restore.compatibility import (
    answer_check,
    compatibility_checks,
    with_selection_requirements,
    writable_check,
)
from covetbackup.core.databases.postgresql.restore.disk_space import disk_space
from covetbackup.core.databases.postgresql.restore.losses import losses
from covetbackup.core.databases.postgresql.restore.privileges import privileges
from covetbackup.core.databases.postgresql.server.connection import Connection, PostgresSettings
from covetbackup.core.databases.postgresql.server.maintenance import maintenance_connection
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.errors import CovetError
from covetbackup.core.stream.secret import Secret


def check_new_database(
    settings: PostgresSettings, password: Secret | None, planned: PlannedRestore
) -> list[Check]:
    """Return the checks in the order in which a restore would meet them.

    A server that does not answer is a check that failed.
    """
    planned = with_selection_requirements(planned)
    try:
        with maintenance_connection(settings, password) as connection:
            return [
                answer_check(connection, settings),
                writable_check(connection),
                *compatibility_checks(connection, planned),
                *_name(connection, planned),
                *privileges(connection, planned),
                *disk_space(connection, planned),
                *losses(connection, planned),
            ]
    except CovetError as error:
        return [failed("Target server", error)]


def _name(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    if planned.request.replace:
        yield from replace_checks.check_replacement(connection, planned.request.database)
        return
    try:
        scratch.refuse_taken(connection, planned.request.database)
    except CovetError as error:
        yield failed("Name", error)
    else:
        yield Check(Level.PASS, "Name", f"{planned.request.database} does not exist yet.")
