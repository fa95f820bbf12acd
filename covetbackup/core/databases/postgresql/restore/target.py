"""A PostgreSQL server as the target of restores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from covetbackup.core.databases.postgresql.restore import scratch
from covetbackup.core.databases.postgresql.restore.into_existing.transaction import xid_committed
from covetbackup.core.databases.postgresql.server.connection import PostgresSettings, translated
from covetbackup.core.databases.postgresql.server.location import location_of
from covetbackup.core.databases.postgresql.server.maintenance import maintenance_connection
from covetbackup.core.errors import TargetNotEmpty
from covetbackup.core.stream.secret import Secret


class PostgresTarget:
    """A `RestoreTarget`: the server of `settings`."""

    def __init__(self, settings: PostgresSettings, password: Secret | None) -> None:
        self._settings = settings
        self._password = password

    def is_free(self, name: str) -> bool:
        with maintenance_connection(self._settings, self._password) as connection:
            try:
                scratch.refuse_taken(connection, name)
            except TargetNotEmpty:
                return False
            return True

    def cleanup(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        with translated(self._settings):
            return scratch.cleanup_scratch(self._settings, before, self._password, say=say)

    def was_committed(self, commit_id: str) -> bool | None:
        with maintenance_connection(self._settings, self._password) as connection:
            return xid_committed(connection, commit_id)

    def location_of(self, name: str) -> str:
        with maintenance_connection(self._settings, self._password) as connection:
            return location_of(connection, name)
