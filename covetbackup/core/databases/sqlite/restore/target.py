"""A folder of SQLite files as the target of restores."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from covetbackup.core.databases.sqlite.restore.session import refuse_taken
from covetbackup.core.databases.sqlite.restore.staging import cleanup_scratch
from covetbackup.core.errors import AccessRefused, TargetNotEmpty

_PAUSE_SECONDS = 0.5


class SqliteTarget:
    """The `RestoreTarget` of a folder of SQLite files.

    `path_of` returns the path of a file in `folder`, and raises `BadSetting` for names and files
    that are not allowed.
    """

    def __init__(self, folder: Path, path_of: Callable[[str], Path]) -> None:
        self._folder = folder
        self._path_of = path_of

    def is_free(self, name: str) -> bool:
        try:
            refuse_taken(self._path_of(name))
        except TargetNotEmpty:
            return False
        return True

    def cleanup(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        # A restore that begins at this moment locks its file right after creating it: a file that
        # is older than this pause is locked if its process is alive.
        time.sleep(max(0.0, _PAUSE_SECONDS - (datetime.now(UTC) - before).total_seconds()))
        try:
            return [path.name for path in cleanup_scratch(self._folder, before)]
        except OSError as error:
            raise AccessRefused(f"{self._folder} cannot be read: {error.strerror}") from error

    def was_committed(self, commit_id: str) -> bool | None:
        """Return None always: nothing is restored into an existing file."""
        return None

    def location_of(self, name: str) -> str:
        return ""
