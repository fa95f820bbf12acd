"""The checks of a SQLite file before it is replaced, and the programs that have it open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.sqlite.replace import swap
from covetbackup.core.errors import CovetError
from covetbackup.core.text import size_text


def check_replacement(path: Path) -> Iterator[Check]:
    """Yield the checks whether a file can be replaced, and which programs have it open."""
    try:
        swap.refuse_irreplaceable(path)
    except CovetError as error:
        yield failed("Name", error)
        return
    retained = swap.free_retained_path(path, datetime.now(UTC)).name
    size = size_text(path.stat().st_size)
    detail = f"{path.name} exists ({size}); it will be retained as {retained}, or later."
    yield Check(Level.PASS, "Name", detail)
    yield _live_sessions(path)


def _live_sessions(path: Path) -> Check:
    found = open_sessions(path)
    if not found:
        detail = f"No program that can be seen from here has {path.name} open."
        return Check(Level.PASS, "Live sessions", detail)
    names = ", ".join(sorted({one.application for one in found}))
    detail = f"{path.name} is open in {names}."
    fix = (
        "Stop them before the swap: in WAL mode it is refused while any has the file open; "
        "otherwise they see the old database until they open it again."
    )
    return Check(Level.WARNING, "Live sessions", detail, fix)


def open_sessions(path: Path) -> list[Session]:
    """Return the programs that have the file open and that this user may see, without this one."""
    found = []
    for process in psutil.process_iter(["username", "name", "create_time", "open_files"]):
        files = process.info["open_files"] or ()
        if process.pid == psutil.Process().pid or str(path) not in [one.path for one in files]:
            continue
        since = datetime.fromtimestamp(process.info["create_time"], UTC)
        user, name = process.info["username"] or "", f"{process.info['name']} ({process.pid})"
        found.append(Session(user, name, "local", "open", since))
    return found
