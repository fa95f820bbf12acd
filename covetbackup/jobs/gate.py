"""Whether jobs may start at all: asked of the app above, `settings.JOB_GATE`."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from covetbackup.command_line import command
from covetbackup.core.errors import Conflict


def refusal() -> str:
    """Return why no job may be asked for or start, "" if they may. Contacts the catalog."""
    return str(import_string(settings.JOB_GATE)())


def refuse() -> None:
    """Raise `Conflict` while no job may be asked for."""
    if closed := refusal():
        raise Conflict(closed, f"what to do: see the page of settings, or {command('check')}")
