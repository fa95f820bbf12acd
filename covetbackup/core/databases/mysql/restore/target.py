"""A MySQL or MariaDB server as the target of restores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from covetbackup.core.databases.mysql.replace import swap
from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.mysql.server.connection import server_connection
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import TargetNotEmpty
from covetbackup.core.stream.secret import Secret


class MysqlTarget:
    """A `RestoreTarget`."""

    def __init__(self, settings: MysqlSettings, password: Secret | None) -> None:
        self._settings = settings
        self._password = password

    def is_free(self, name: str) -> bool:
        with server_connection(self._settings, self._password) as connection:
            try:
                scratch.refuse_taken(connection, name)
            except TargetNotEmpty:
                return False
            return True

    def cleanup(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        """First what died while it replaced a database: it may need its scratch database."""
        with server_connection(self._settings, self._password) as connection:
            swap.recover(connection)
        return scratch.cleanup_scratch(self._settings, before, self._password, say=say)

    def was_committed(self, commit_id: str) -> bool | None:
        """Return None always: these servers keep no state of transactions that are over."""
        return None

    def location_of(self, name: str) -> str:
        return ""
