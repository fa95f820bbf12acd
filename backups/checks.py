"""System checks of `covetbackup check` for the catalog itself and for folders of SQLite files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.db import Error, connection
from django.db.models import Model

from backups.models import Installation, Server
from backups.quarantine import HINT, REASON, is_quarantined
from backups.roots import VARIABLE, refused_servers
from covetbackup.core.errors import as_sentence

_T = TypeVar("_T")


@register("servers")
def check_sqlite_roots(**_: Any) -> list[CheckMessage]:
    """W009: a root that is no folder. W010: a registered folder outside the roots."""
    return [*_missing_roots(), *_outside()]


@register("catalog")
def check_quarantine(**_: Any) -> list[CheckMessage]:
    """W011: a copied catalog, which runs no job."""
    if not _ask(Installation, is_quarantined, default=False):
        return []
    return [Warning(REASON, hint=as_sentence(HINT), id="covetbackup.W011")]


def _missing_roots() -> Iterator[CheckMessage]:
    for root in settings.SQLITE_ROOTS:
        if root != settings.VAR_DIR and not root.is_dir():
            text = f"{VARIABLE} names {root}, which is not a folder here"
            yield Warning(text, hint="Correct it, or mount the disk.", id="covetbackup.W009")


def _outside() -> Iterator[CheckMessage]:
    refused = _ask(Server, refused_servers, default=[])
    outside = [one.folder for one, error in refused if VARIABLE in error.hint]
    folders = dict.fromkeys([*map(str, settings.SQLITE_ROOTS), *outside])
    wider = f"If teams may read and write there, set {VARIABLE}={','.join(folders)} and restart."
    for server, error in refused:
        text = f"server {server}: {error.message}: no backups of it"
        hint = wider if server.folder in outside else as_sentence(error.hint)
        yield Warning(text, hint=hint, id="covetbackup.W010")


def _ask(model: type[Model], question: Callable[[], _T], *, default: _T) -> _T:
    """The answer of the catalog; `default` while there is none to ask. It is not begun here."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and not Path(name).exists():
        return default
    try:
        if model._meta.db_table not in connection.introspection.table_names():
            return default
        return question()
    except Error:  # it does not answer, or its columns are not up to date: others say so
        return default
