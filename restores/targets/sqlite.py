"""A folder of SQLite files as the target of a restore."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from backups.engine_factory import file_in
from backups.models import Server
from backups.roots import check_sqlite_folder
from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.sqlite.restore.session import refuse_taken
from covetbackup.core.databases.sqlite.restore.staging import (
    RESTORE_PREFIX,
    STAGING_PREFIX,
    sweep_scratch,
)
from covetbackup.core.errors import (
    AccessRefused,
    BadSetting,
    CovetError,
    TargetNotEmpty,
    as_sentence,
)
from covetbackup.core.stream import disk
from covetbackup.core.text import size_text
from restores.targets import sqlite_exchange
from restores.targets.base import TargetKind, Wanted

_COMPANIONS = ("-wal", "-shm", "-journal")
_NAME_BYTES = 255 - len("-journal")
_PAUSE_SECONDS = 0.5
_RESERVE_BYTES = 16 << 20
"""Left free beside the file itself, as the engine's own staging does."""


def _refuse_name(server: Server, name: str) -> None:
    if len(os.fsencode(name)) > _NAME_BYTES or not name.isprintable():
        raise BadSetting(f"{name[:80]!r} cannot be a file name", "use fewer and plainer characters")
    try:
        file_in(server, name)
    except OSError as error:
        raise BadSetting(f"{server.folder} cannot be looked into: {error.strerror}") from error
    if name.startswith((RESTORE_PREFIX, STAGING_PREFIX)) or name.endswith(_COMPANIONS):
        raise BadSetting(f"{name!r} would be taken for a temporary file", "choose another name")


def _joined_name(name: str, addition: str) -> str:
    stem, suffix = os.path.splitext(name)
    room = _NAME_BYTES - len(os.fsencode(suffix + addition))
    return os.fsencode(stem)[:room].decode(errors="ignore") + addition + suffix


def _look(wanted: Wanted) -> list[Check]:
    folder = Path(wanted.server.folder)
    if not folder.is_dir():
        fix = "Create the folder, or correct the server's settings."
        return [Check(Level.FAIL, "Folder", f"{folder} is not a folder here.", fix)]
    return [
        _writable(folder),
        *_shortcomings(folder),
        *_name(wanted),
        _room(folder, wanted.plain_bytes),
    ]


def _writable(folder: Path) -> Check:
    if os.access(folder, os.W_OK | os.X_OK):
        return Check(Level.PASS, "Folder", f"{folder} can be written.")
    fix = f"Let the user that runs CovetBackup (uid {os.geteuid()}) write to it."
    return Check(Level.FAIL, "Folder", f"{folder} cannot be written.", fix)


def _shortcomings(folder: Path) -> list[Check]:
    try:
        found = disk.shortcomings(folder)
    except OSError:  # said by the check whether it can be written
        return []
    return [Check(Level.WARNING, "File system", as_sentence(text)) for text in found]


def _name(wanted: Wanted) -> Iterator[Check]:
    if wanted.replaces:
        yield from sqlite_exchange.checks(wanted)
        return
    try:
        refuse_taken(file_in(wanted.server, wanted.name))
    except CovetError as error:
        yield failed("Name", error)
    else:
        yield Check(Level.PASS, "Name", f"{wanted.name} does not exist yet.")


def _room(folder: Path, plain_bytes: int | None) -> Check:
    free = shutil.disk_usage(folder).free
    if plain_bytes is None:
        return Check(Level.UNKNOWN, "Disk space", f"{size_text(free)} free; the need is unknown.")
    detail = f"{size_text(free)} free, {size_text(plain_bytes)} needed."
    if free < plain_bytes + _RESERVE_BYTES:
        return Check(Level.FAIL, "Disk space", detail, "Free space, or restore somewhere else.")
    return Check(Level.PASS, "Disk space", detail)


def _is_free(server: Server, name: str) -> bool:
    try:
        refuse_taken(file_in(server, name))
    except TargetNotEmpty:
        return False
    return True


def _sweep(server: Server, before: datetime, say: Callable[[str], None]) -> list[str]:
    check_sqlite_folder(Path(server.folder))
    # A restore that begins at this moment locks its file right after making it: whatever is
    # older than this pause is locked if anybody is alive to hold it.
    time.sleep(max(0.0, _PAUSE_SECONDS - (timezone.now() - before).total_seconds()))
    try:
        return [path.name for path in sweep_scratch(Path(server.folder), before)]
    except OSError as error:
        raise AccessRefused(f"{server.folder} cannot be read: {error.strerror}") from error


def _command(server: Server, name: str) -> str:
    return shlex.join(["sqlite3", str(Path(server.folder) / name)])


def _refuse_owner(owner: str) -> None:
    """A file's owner is not asked for."""


def _options(owner: str, creates_roles: bool) -> dict[str, object]:
    return {}


KIND = TargetKind(
    has_owners=False,
    creates_roles=None,
    selects=False,
    refuse_name=_refuse_name,
    refuse_owner=_refuse_owner,
    joined_name=_joined_name,
    look=_look,
    is_free=_is_free,
    sweep=_sweep,
    command=_command,
    options=_options,
    exchange=sqlite_exchange.EXCHANGE,
)
