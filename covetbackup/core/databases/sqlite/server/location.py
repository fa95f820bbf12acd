"""The location of a file: its inode number and its birth time."""

from __future__ import annotations

import os
from pathlib import Path

from covetbackup.core.databases.sqlite.server.file_btime import birth_time


def location_of(path: Path) -> str:
    """Return "file:INODE:BIRTH TIME", links followed; "" if there is no such file."""
    try:
        found = path.resolve()
        return f"file:{os.stat(found).st_ino}:{birth_time(found) or ''}"
    except OSError:
        return ""
