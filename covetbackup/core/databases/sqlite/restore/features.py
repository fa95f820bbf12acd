"""Options of restores of SQLite, and what they can do. No file is opened."""

from __future__ import annotations

import os
import shlex

from covetbackup.core.databases.restore_target import RestoreFeatures
from covetbackup.core.databases.sqlite.restore.staging import RESTORE_PREFIX, STAGING_PREFIX
from covetbackup.core.databases.sqlite.server.url import parse_url
from covetbackup.core.errors import BadSetting

_SIDECARS = ("-wal", "-shm", "-journal")
_NAME_BYTES = 255 - len("-journal")


def _refuse_name(name: str) -> None:
    if len(os.fsencode(name)) > _NAME_BYTES or not name.isprintable():
        raise BadSetting(f"{name[:80]!r} cannot be a file name", "use fewer and plainer characters")
    if name.startswith((RESTORE_PREFIX, STAGING_PREFIX)) or name.endswith(_SIDECARS):
        raise BadSetting(f"{name!r} would be taken for a temporary file", "choose another name")


def _name_with_suffix(name: str, ending: str) -> str:
    stem, suffix = os.path.splitext(name)
    room = _NAME_BYTES - len(os.fsencode(suffix + ending))
    return os.fsencode(stem)[:room].decode(errors="ignore") + ending + suffix


def _connect_command(url: str, server_version: str) -> str:
    return shlex.join(["sqlite3", str(parse_url(url))])


FEATURES = RestoreFeatures(
    refuse_name=_refuse_name,
    name_with_suffix=_name_with_suffix,
    connect_command=_connect_command,
    has_owners=False,
    selects=False,
    into_existing=False,
)
