"""What `manage.py check` says about folders of SQLite files, and servers in the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.db import Error, connection

from backups.models import Server
from backups.roots import VARIABLE, servers_outside


@register("servers")
def check_sqlite_roots(**_: Any) -> list[CheckMessage]:
    """W009: a root that is no folder. W010: a registered folder outside the roots."""
    return [*_missing_roots(), *_outside()]


def _missing_roots() -> Iterator[CheckMessage]:
    for root in settings.SQLITE_ROOTS:
        if root != settings.VAR_DIR and not root.is_dir():
            text = f"{VARIABLE} names {root}, which is not a folder here"
            yield Warning(text, hint="Correct it, or mount the disk.", id="covetbackup.W009")


def _outside() -> Iterator[CheckMessage]:
    for server in _servers_outside():
        text = f"server {server}: {server.folder} may not hold SQLite databases: no backups of it"
        roots = ",".join(str(root) for root in [*settings.SQLITE_ROOTS, server.folder])
        hint = f"If its team may read and write there, set {VARIABLE}={roots} and restart."
        yield Warning(text, hint=hint, id="covetbackup.W010")


def _servers_outside() -> list[Server]:
    """None while there is no catalog to ask; it is not begun here."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and not Path(name).exists():
        return []
    try:
        if Server._meta.db_table not in connection.introspection.table_names():
            return []
        return servers_outside()
    except Error:
        return []
