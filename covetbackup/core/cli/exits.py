"""The exit statuses, on which scripts may rely."""

from __future__ import annotations

from covetbackup.core.errors import (
    ConfigurationError,
    Conflict,
    CovetError,
    DatabaseError,
    IntegrityError,
    KeyUnavailable,
    StorageError,
)

EXITS = {
    0: "done",
    1: "failed for another reason",
    2: "wrong arguments or settings, or a tool is missing; nothing was started",
    3: "damage: stored bytes are not those that were written, or verify found faults",
    4: "no key at hand opens the backup",
    5: "a storage did not do what was asked, or a copy is missing",
    6: "the database did not do what was asked, or the result differs",
    7: "something is in the way: the target exists, a lock was not to be had",
    130: "cancelled",
    141: "the reader of the output closed it before its end",
}

OK = 0
FAILED = 1
DAMAGED = 3
STORAGE = 5
DATABASE = 6
CANCELLED = 130
READER_LEFT = 141

_BY_ERROR: tuple[tuple[type[CovetError], int], ...] = (
    (ConfigurationError, 2),
    (IntegrityError, DAMAGED),
    (KeyUnavailable, 4),
    (StorageError, STORAGE),
    (DatabaseError, DATABASE),
    (Conflict, 7),
)


def exit_status(error: CovetError) -> int:
    """Return the exit status for `error`."""
    return next((status for kind, status in _BY_ERROR if isinstance(error, kind)), FAILED)
