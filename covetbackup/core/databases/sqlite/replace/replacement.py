"""The replacement of SQLite files of a folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.sqlite.replace import swap
from covetbackup.core.databases.sqlite.replace.checks import open_sessions
from covetbackup.core.errors import DatabaseUnavailable


class SqliteReplacement:
    """The `Replacement` of files in a folder. `path_of` is as for `SqliteTarget`."""

    def __init__(self, folder: Path, path_of: Callable[[str], Path]) -> None:
        self._folder = folder
        self._path_of = path_of

    def refuse_irreplaceable(self, name: str) -> None:
        swap.refuse_irreplaceable(self._path_of(name))

    def sessions(self, name: str) -> list[Session]:
        return open_sessions(self._path_of(name))

    def identity(self, name: str) -> str | None:
        return swap.identity_of(self._path_of(name))

    def find_by_identity(self, identity: str) -> str | None:
        try:
            return swap.find_by_identity(self._folder, identity)
        except OSError as error:
            raise DatabaseUnavailable(f"{self._folder} cannot be read: {error.strerror}") from error

    def free_name(self, name: str, now: datetime) -> str:
        return swap.free_retained_path(self._path_of(name), now).name

    def swap(self, target: str, incoming: str, retained_as: str) -> list[str]:
        swap.swap(self._path_of(target), self._path_of(incoming), self._path_of(retained_as))
        return []

    def was_swapped(self, target: str, retained_as: str) -> bool:
        return swap.was_swapped(self._path_of(target), self._path_of(retained_as))

    def drop(self, name: str) -> None:
        swap.drop_retained(self._path_of(name))
