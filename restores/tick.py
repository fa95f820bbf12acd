"""The periodic work of restores: `settings.JOB_TICKS`."""

from __future__ import annotations

from django.utils import timezone

from restores import safety_backup
from restores.retained import drop_due


def tick() -> None:
    """Idempotent, and right with any number of workers doing it at once."""
    safety_backup.release_ready()
    drop_due(timezone.now())
