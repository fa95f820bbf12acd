"""Discovery of the SQLite files in a folder, and the test whether they can be opened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from covetbackup.core.databases.base import Probe
from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.server import Discovered, FoundDatabase, ServerProbe
from covetbackup.core.errors import BadSetting, CovetError, DatabaseUnavailable

_MAGIC = b"SQLite format 3\0"
_NAME_CHARACTERS = 255
_INSPECT_SECONDS = 2.5
"""How long files are opened one by one; of a folder with hundreds only some are."""


def discover(folder: Path, path_of: Callable[[str], Path]) -> Discovered:
    """Return the SQLite files in `folder`, without links and files that `path_of` does not allow.

    Raises `DatabaseUnavailable` if it cannot be listed.
    """
    try:
        found = [_inspect(folder / name, path_of) for name in sorted(os.listdir(folder))]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DatabaseUnavailable(
            f"folder {folder} cannot be listed: {reason}",
            "is the path right, the disk mounted, and the folder readable by the worker's user?",
        ) from error
    return Discovered(
        tuple(one for one in found if isinstance(one, FoundDatabase)),
        tuple(problem for problem in found if isinstance(problem, str)),
    )


def probe_files(
    found: Discovered, probe: Callable[[str], Probe], is_included: Callable[[str], bool]
) -> ServerProbe:
    """Open each of the files `found` for which `is_included` is True, by `probe`.

    No more are opened when 2.5 s have passed.
    """
    fix = "let the worker's user read it, or rename it"
    checks = [
        Check(Level.FAIL, "A file cannot be used", problem, fix) for problem in found.unusable
    ]
    deadline = time.monotonic() + _INSPECT_SECONDS
    version, inspected = "", 0
    for name in (entry.name for entry in found.databases if is_included(entry.name)):
        if time.monotonic() > deadline:
            break
        inspected += 1
        try:
            version = probe(name).server_version
        except CovetError as error:
            title = f"{name} cannot be opened"
            checks.append(Check(Level.FAIL, title, error.message, error.hint))
    return ServerProbe(version, version, len(found.databases), inspected, tuple(checks))


def _inspect(path: Path, path_of: Callable[[str], Path]) -> FoundDatabase | str | None:
    """Return the database at `path`, the reason why it cannot be used, or None for other files."""
    if path.is_symlink() or not path.is_file() or not _is_allowed(path, path_of):
        return None
    shown = path.name.encode(errors="backslashreplace").decode()[:200]
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        return f"{shown} cannot be read: {(error.strerror or str(error)).lower()}"
    if shown != path.name or len(path.name) > _NAME_CHARACTERS:
        return f"{shown} has a name that is not text in UTF-8"
    return FoundDatabase(path.name, size)


def _is_allowed(path: Path, path_of: Callable[[str], Path]) -> bool:
    try:
        path_of(path.name)
    except BadSetting:
        return False
    return True
