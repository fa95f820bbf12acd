"""The folders of this machine that may be registered as servers of SQLite files.

A user who may add a server could otherwise read, through a backup, any SQLite file that the
worker's user can read, and write into any folder through a restore.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from backups import ca_certificates
from backups.models import Server
from covetbackup.core.errors import BadSetting
from covetbackup.core.storage.base import MARKER

VARIABLE = "COVET_SQLITE_ROOTS"


def check_folder(folder: Path) -> None:
    """Raise `BadSetting` unless `folder`, links followed, is an allowed root or below one.

    The folder that holds the catalog and the keys never is, but folders in it may be: not those of
    the dashboard, and none in a repository, where a restored file would lie among backups.
    """
    shown = str(folder)[:200]
    try:
        place = folder.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a zero byte
        raise BadSetting(f"{shown!r} cannot be followed to a folder") from error
    _refuse_own(place, shown)
    if not any(place.is_relative_to(root.resolve()) for root in settings.SQLITE_ROOTS):
        leads = f" (it leads to {place})" if place != folder else ""
        raise BadSetting(
            f"{shown}{leads} is not below a folder that may hold SQLite databases",
            f"allowed: {allowed_text()}; to allow another, set {VARIABLE} and restart",
        )


def allowed_text() -> str:
    """Return the allowed roots for a message."""
    return ", ".join(map(str, settings.SQLITE_ROOTS)) or "none"


def refused_servers() -> list[tuple[Server, BadSetting]]:
    """Return the registered folders that are not allowed, for example since an upgrade, and why."""
    found = []
    for server in Server.objects.exclude(folder="").order_by("pk"):
        try:
            check_folder(Path(server.folder))
        except BadSetting as error:
            found.append((server, error))
    return found


def _refuse_own(place: Path, shown: str) -> None:
    var = settings.VAR_DIR.resolve()
    own = (Path(settings.STATIC_ROOT).resolve(), ca_certificates.folder().resolve())
    if place == var or any(place.is_relative_to(one) for one in own):
        raise BadSetting(
            f"{shown} holds the dashboard's own files", "move the databases to a folder of theirs"
        )
    if any(os.path.exists(one / MARKER) for one in (place, *place.parents)):
        raise BadSetting(
            f"{shown} is in a repository", "move the databases to a folder outside of it"
        )
