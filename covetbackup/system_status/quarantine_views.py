"""The page on which an owner says that a copied catalog is the successor of its original."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from backups import quarantine
from backups.catalog_location import location_of_catalog
from backups.models import Installation
from covetbackup.access.decorators import requires
from covetbackup.access.reauthentication import reauthenticated
from covetbackup.access.roles import Permission
from covetbackup.core.errors import Conflict, sentence
from covetbackup.jobs.models import ACTIVE_STATES, Job


@require_http_methods(["GET", "POST"])
@requires(Permission.CHANGE_SETTINGS)
@reauthenticated
def quarantine_page(request: HttpRequest) -> HttpResponse:
    """Show the quarantine, and end it."""
    if request.method == "POST":
        try:
            quarantine.end(request)
            messages.success(request, "This catalog is the successor. Its jobs start now.")
        except Conflict as error:
            messages.error(request, sentence(error))
        return redirect("settings")
    return render(request, "system_status/quarantine.html", _facts())


def _facts() -> dict[str, object]:
    """What would begin, and what the catalog is told by."""
    waiting = Job.objects.filter(state__in=ACTIVE_STATES)
    return {
        "was": Installation.objects.values_list("place", flat=True).first(),
        "here": location_of_catalog(),
        "waiting": waiting.count(),
        "deletions": waiting.filter(kind__in=("delete", "drop_kept")).count(),
    }
