"""Frame indexes that are missing or damaged: noted once each, never the end of a read."""

from __future__ import annotations

from functools import partial
from threading import Lock

from covetbackup.core.errors import CovetError
from covetbackup.core.progress import Progress
from covetbackup.core.repository.volumes import IndexLost


class LostIndexes:
    """The lost frame indexes: errors by object name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.found: dict[str, CovetError] = {}

    def reporter(self, progress: Progress) -> IndexLost:
        """Return a function that records a lost index, and notes a new one in `progress`."""
        return partial(self.add, progress)

    def add(self, progress: Progress, name: str, error: CovetError) -> None:
        """Record a lost index; note it in `progress` if it is a new one."""
        with self._lock:
            is_new = name not in self.found
            self.found.setdefault(name, error)
        if is_new:
            progress.note(_sentence(name, error))

    @property
    def sentences(self) -> tuple[str, ...]:
        """A sentence for each lost index, sorted by name."""
        return tuple(_sentence(name, error) for name, error in sorted(self.found.items()))


def _sentence(name: str, error: CovetError) -> str:
    reason = str(error).removeprefix(f"{name}: ").removeprefix(f"{name} ")
    return (
        f"{name} cannot be used ({reason}): it only makes reading faster, the data is read without "
        "it; copying the backup again from another repository replaces it"
    )
