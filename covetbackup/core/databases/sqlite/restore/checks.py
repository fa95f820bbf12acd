"""The checks of a folder before a SQLite database is created or replaced there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.databases.sqlite.replace import checks as replace_checks
from covetbackup.core.databases.sqlite.restore.session import refuse_taken
from covetbackup.core.errors import CovetError, as_sentence
from covetbackup.core.stream import disk
from covetbackup.core.text import size_text

_RESERVE_BYTES = 16 << 20
"""Left free beside the file itself, as the engine's own staging does."""


def check_new_file(
    folder: Path, path_of: Callable[[str], Path], planned: PlannedRestore
) -> list[Check]:
    """Return the checks of `folder` and of the file in it; `path_of` is as for `SqliteTarget`."""
    if not folder.is_dir():
        fix = "Create the folder, or correct the server's settings."
        return [Check(Level.FAIL, "Folder", f"{folder} is not a folder here.", fix)]
    return [
        _writable(folder),
        *file_system(folder),
        *_name(path_of, planned),
        _disk_space(folder, planned.plain_bytes),
    ]


def _writable(folder: Path) -> Check:
    if os.access(folder, os.W_OK | os.X_OK):
        return Check(Level.PASS, "Folder", f"{folder} can be written.")
    fix = f"Let the user that runs CovetBackup (uid {os.geteuid()}) write to it."
    return Check(Level.FAIL, "Folder", f"{folder} cannot be written.", fix)


def file_system(folder: Path) -> list[Check]:
    """Return a warning for each thing that the file system of `folder` cannot do."""
    try:
        found = disk.shortcomings(folder)
    except OSError:  # the check whether it can be written tells it
        return []
    return [Check(Level.WARNING, "File system", as_sentence(text)) for text in found]


def _name(path_of: Callable[[str], Path], planned: PlannedRestore) -> Iterator[Check]:
    if planned.request.replace:
        yield from replace_checks.check_replacement(path_of(planned.request.database))
        return
    try:
        refuse_taken(path_of(planned.request.database))
    except CovetError as error:
        yield failed("Name", error)
    else:
        yield Check(Level.PASS, "Name", f"{planned.request.database} does not exist yet.")


def _disk_space(folder: Path, plain_bytes: int | None) -> Check:
    free = shutil.disk_usage(folder).free
    if plain_bytes is None:
        return Check(Level.UNKNOWN, "Disk space", f"{size_text(free)} free; the need is unknown.")
    detail = f"{size_text(free)} free, {size_text(plain_bytes)} needed."
    if free < plain_bytes + _RESERVE_BYTES:
        return Check(Level.FAIL, "Disk space", detail, "Free space, or restore somewhere else.")
    return Check(Level.PASS, "Disk space", detail)
