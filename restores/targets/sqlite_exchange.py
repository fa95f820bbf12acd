"""Replacing files of a folder: the engine's own functions, and checks before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from backups.engine_factory import file_in
from backups.models import Server
from backups.roots import check_sqlite_folder
from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.sqlite.replace import swap
from covetbackup.core.errors import CovetError, DatabaseUnavailable
from covetbackup.core.text import size_text
from restores.targets.base import Exchange, Wanted


def checks(wanted: Wanted) -> Iterator[Check]:
    """Whether what is there can be replaced, and whom that would meet."""
    path = file_in(wanted.server, wanted.name)
    try:
        swap.refuse_unfit(path)
    except CovetError as error:
        yield failed("Name", error)
        return
    kept = swap.free_kept_path(path, datetime.now(UTC)).name
    size = size_text(path.stat().st_size)
    detail = f"{wanted.name} exists ({size}); it will be retained as {kept}, or later."
    yield Check(Level.PASS, "Name", detail)
    yield _live_sessions(path)


def _live_sessions(path: Path) -> Check:
    found = programs_in(path)
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


def programs_in(path: Path) -> list[Session]:
    """Who has the file open, as far as this user may see; never this process itself."""
    found = []
    for process in psutil.process_iter(["username", "name", "create_time", "open_files"]):
        files = process.info["open_files"] or ()
        if process.pid == psutil.Process().pid or str(path) not in [one.path for one in files]:
            continue
        since = datetime.fromtimestamp(process.info["create_time"], UTC)
        user, name = process.info["username"] or "", f"{process.info['name']} ({process.pid})"
        found.append(Session(user, name, "local", "open", since))
    return found


def _refuse_unfit(server: Server, name: str) -> None:
    swap.refuse_unfit(file_in(server, name))


def _sessions(server: Server, name: str) -> list[Session]:
    return programs_in(file_in(server, name))


def _identity(server: Server, name: str) -> str | None:
    return swap.identity_of(file_in(server, name))


def _name_of(server: Server, identity: str) -> str | None:
    check_sqlite_folder(Path(server.folder))
    try:
        return swap.name_of(Path(server.folder), identity)
    except OSError as error:
        raise DatabaseUnavailable(f"{server.folder} cannot be read: {error.strerror}") from error


def _free_name(server: Server, name: str, now: datetime) -> str:
    return swap.free_kept_path(file_in(server, name), now).name


def _swap(server: Server, target: str, incoming: str, retained_as: str) -> list[str]:
    swap.exchange(file_in(server, target), file_in(server, incoming), file_in(server, retained_as))
    return []  # a file keeps all that is in it


def _was_swapped(server: Server, target: str, retained_as: str) -> bool:
    return swap.was_exchanged(file_in(server, target), file_in(server, retained_as))


def _drop(server: Server, name: str) -> None:
    swap.drop_kept(file_in(server, name))


EXCHANGE = Exchange(
    refuse_unfit=_refuse_unfit,
    sessions=_sessions,
    identity=_identity,
    name_of=_name_of,
    free_name=_free_name,
    swap=_swap,
    was_swapped=_was_swapped,
    drop=_drop,
)
