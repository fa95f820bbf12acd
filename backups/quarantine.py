"""Quarantine of a copied catalog: it runs no job until an owner says that it is the successor.

A copy knows of the same repositories as its original, and of jobs that waited or ran when it was
made. Were they run, they would remove backups, and the unfinished ones of a living original.
"""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest

from backups.catalog_location import location_of_catalog
from backups.models import Installation
from covetbackup.audit.log import Actor, record
from covetbackup.command_line import command
from covetbackup.core.databases.location import is_same_location
from covetbackup.core.errors import Conflict

REASON = "this catalog is a copy and in quarantine: no job runs and nothing is deleted"
HINT = (
    "if the original is stopped for good, an owner ends the quarantine on the settings page, "
    f"or run {command('quarantine', '--end')}"
)
_NOWHERE = "none"
"""A place where no catalog lies."""


def refusal() -> str:
    """Return why no job may start, "" if they may: `settings.JOB_GATE`."""
    return REASON if is_quarantined() else ""


def is_quarantined() -> bool:
    """Return whether the row of the installation was written in another catalog than this one."""
    recorded = Installation.objects.values_list("place", flat=True).first()
    return bool(recorded) and not is_same_location(str(recorded), location_of_catalog())


def adopt() -> None:
    """Write down the place of a catalog that was set up before places were; others stay."""
    rows = Installation.objects.filter(place="")
    if rows.exists():
        rows.update(place=location_of_catalog())


def end(by: HttpRequest | Actor) -> None:
    """Make this catalog the one of the installation. Raises `Conflict` if it is already."""
    with transaction.atomic():
        row = Installation.objects.select_for_update().first()
        if row is None or not is_quarantined():
            raise Conflict("this catalog is not in quarantine")
        details = {"was": row.place, "is": location_of_catalog()}
        Installation.objects.update(place=details["is"])
        record(by, "catalog.successor", subject=row, details=details)


def begin(by: HttpRequest | Actor) -> None:
    """Put this catalog into quarantine, as a copy that cannot be told from its original.

    Raises `Conflict` for a catalog that was never set up.
    """
    with transaction.atomic():
        row = Installation.objects.select_for_update().first()
        if row is None:
            raise Conflict("this catalog was never set up", f"run {command('init')}")
        Installation.objects.update(place=_NOWHERE)
        record(by, "catalog.quarantine", subject=row, details={"was": row.place})
