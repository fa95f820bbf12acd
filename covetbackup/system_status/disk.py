"""Folders of this machine with their free space; catalog and broker."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from covetbackup.env import without_password
from covetbackup.system_status.issue import Issue

_LEAST_FREE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Folder:
    """Sizes in bytes of the file system it lies on, None where it cannot be asked."""

    title: str
    path: Path
    is_writable: bool
    total: int | None = None
    free: int | None = None

    @property
    def used_percent(self) -> int | None:
        """The used share of the disk in percent."""
        if not self.total or self.free is None:
            return None
        return round(100 * (self.total - self.free) / self.total)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog's database: `place` names it, without its password."""

    kind: str
    version: str
    place: str
    size_bytes: int | None


def folders() -> list[Folder]:
    """Return the folders, each once, though it may have several uses."""
    named = [("Catalog, keys, static files", Path(settings.VAR_DIR))]
    named += [("Local repositories", root) for root in settings.REPOSITORY_ROOTS]
    named += [("Temporary files", Path(tempfile.gettempdir()))]
    titles: dict[Path, list[str]] = {}
    for title, path in named:
        titles.setdefault(path, []).append(title)
    return [_folder("; ".join(found), path) for path, found in titles.items()]


def folder_issues(found: list[Folder]) -> Iterator[Issue]:
    """Yield the issues of folders."""
    for folder in found:
        if not folder.is_writable:
            text = f"{folder.path} is missing or cannot be written to"
            yield Issue("bad", text, "does it belong to the user that runs this?")
        elif folder.total and (folder.free or 0) < _LEAST_FREE_SHARE * folder.total:
            text = f"the disk of {folder.path} is nearly full"
            yield Issue("warn", text, "free space, or move repositories to a larger disk")


def catalog() -> Catalog:
    """Return the catalog's kind, version, location and size."""
    described = connection.settings_dict
    if connection.vendor == "sqlite":
        path = str(described["NAME"])
        return Catalog("SQLite", _version(), path, _size_of_files(path))
    place = f"{described['NAME']} on {described['HOST'] or 'a socket'}"
    return Catalog("PostgreSQL", _version(), place, _size_of_database())


def broker() -> str:
    """Return the address of the broker without its password."""
    url = settings.BROKER_URL
    return without_password(url) if url else "the catalog itself"


def _folder(title: str, path: Path) -> Folder:
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return Folder(title, path, is_writable=False)
    is_writable = os.access(path, os.W_OK | os.X_OK)
    return Folder(title, path, is_writable, usage.total, usage.free)


def _version() -> str:
    return ".".join(map(str, connection.get_database_version()))


def _size_of_files(path: str) -> int | None:
    """The file and its log: most of a busy catalog may be in the log."""
    sizes = []
    for suffix in ("", "-wal"):
        with suppress(OSError):
            sizes.append(os.stat(path + suffix).st_size)
    return sum(sizes) if sizes else None


def _size_of_database() -> int | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])
