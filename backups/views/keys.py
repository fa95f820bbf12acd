"""Encryption keys: ids and states, where they are used, and the warning about the recovery key."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from backups import secrets
from backups.models import EncryptionKey
from backups.models.repository import KeyState
from backups.statistics import encryption
from backups.views.shared import signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission


@require_safe
@requires(Permission.VIEW)
def keys(request: HttpRequest) -> HttpResponse:
    """Show the encryption keys."""
    user = signed_in(request)
    rows = EncryptionKey.objects.visible_to(user).select_related("team")
    context = {
        "keys": rows.order_by("team__name", "state", "name"),
        "totals": rows.aggregate(
            all=Count("pk"), active=Count("pk", filter=Q(state=KeyState.ACTIVE))
        ),
        "usage": encryption(user),
        "is_locked": secrets.is_locked(),
        "recovery_files": _recovery_files(),
    }
    return render(request, "backups/keys.html", context)


def _recovery_files() -> list[Path]:
    """Recovery keys that were not moved away yet: lost with the machine they should outlive."""
    path: Path = settings.RECOVERY_KEY_FILE
    return sorted(path.parent.glob(f"{path.stem}*{path.suffix}"))
