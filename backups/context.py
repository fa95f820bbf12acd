"""Template context of every page about the catalog itself."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest

from backups.quarantine import is_quarantined


def quarantine(request: HttpRequest) -> dict[str, Callable[[], bool]]:
    """Return `is_quarantined`, which only templates of whole pages call."""
    return {"is_quarantined": is_quarantined}
