"""A PostgreSQL server as the target of restores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from covetbackup.core.databases.postgresql.restore import scratch
from covetbackup.core.databases.postgresql.restore.check_connection import maintenance
from covetbackup.core.databases.postgresql.restore.into_existing import commit_status
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    ConnectionSettings,
    translated,
)
from covetbackup.core.errors import TargetNotEmpty
from covetbackup.core.stream.secret import Secret


class PostgresTarget:
    """A `RestoreTarget`."""

    def __init__(self, settings: ConnectionSettings, password: Secret | None) -> None:
        self._settings = settings
        self._password = password

    def is_free(self, name: str) -> bool:
        with maintenance(self._settings, self._password) as connection:
            try:
                scratch.refuse_taken(connection, name)
            except TargetNotEmpty:
                return False
            return True

    def sweep(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        with translated(self._settings):
            return scratch.sweep_scratch(self._settings, before, self._password, say=say)

    def was_committed(self, trace: str) -> bool | None:
        with maintenance(self._settings, self._password) as connection:
            return commit_status.was_committed(connection, trace)

    def location_of(self, name: str) -> str:
        """Return "postgresql:OID:SYSTEM IDENTIFIER", without the latter where the role may not ask
        for it. Needs no right in that database."""
        with maintenance(self._settings, self._password) as connection:
            return _location_of(connection, name)


def _location_of(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT oid FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return f"postgresql:{row[0]}:{_system(connection) or ''}" if row else ""


def _system(connection: Connection) -> object:
    """None where the role may not ask for it."""
    may_ask = connection.execute(_MAY_ASK).fetchone()
    if not may_ask or not may_ask[0]:
        return None
    row = connection.execute(_SYSTEM).fetchone()
    return row[0] if row else None


_MAY_ASK = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"
