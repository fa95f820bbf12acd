"""The gate of the queue: whether jobs may start at all, as `settings.JOB_GATE` says."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from covetbackup.command_line import command
from covetbackup.core.errors import Conflict


def refusal() -> str:
    """Return why no job may be requested or start, "" if they may. Contacts the catalog."""
    return str(import_string(settings.JOB_GATE)())


def refuse() -> None:
    """Raise `Conflict` while no job may be requested."""
    if closed := refusal():
        raise Conflict(closed, f"see the settings page, or {command('check')}")
