"""What every page says about the catalog itself."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest

from backups.quarantine import is_quarantined


def quarantine(request: HttpRequest) -> dict[str, Callable[[], bool]]:
    """`is_quarantined`, asked only by templates that show whole pages."""
    return {"is_quarantined": is_quarantined}
