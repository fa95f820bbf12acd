"""Databases: the list, and one database with its backups and "Back up now"."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from backups import services
from backups.discovery import set_inclusion
from backups.forms.backups import BackupForm
from backups.forms.searches import DatabaseFilter
from backups.listing import ORDERS, BackupFilter, backups_in
from backups.models import Backup, Database, DatabaseState
from backups.models.backup import RESTORABLE_STATES
from backups.models.source import Inclusion
from backups.verdict_data import fleet_of, judged, judged_one, tally_of, with_standing
from backups.views.shared import add_error_message, look_up, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.command_line import command
from covetbackup.core.errors import CovetError
from covetbackup.ignored_filters import ignored
from covetbackup.paging import page_of

_GONE = Q(state=DatabaseState.GONE)
_STATES = {
    "": ~_GONE & Q(is_included=True),
    "new": ~_GONE & Q(is_new=True),
    "excluded": ~_GONE & Q(is_included=False),
    "gone": _GONE,
    "all": Q(),
}


@require_safe
@requires(Permission.VIEW)
def databases(request: HttpRequest) -> HttpResponse:
    """Show the list of databases."""
    user = signed_in(request)
    form = DatabaseFilter(request.GET, user=user)
    mine = Database.objects.visible_to(user)
    page = page_of(
        with_standing(_matching(mine, form)), ("name", "id"), request.GET.get("cursor", "")
    )
    context = {
        "form": form,
        "ignored": ignored(request.GET.dict(), form.fields, form.errors),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "page": page,
        "rows": judged(page.rows),
        "tally": tally_of(row.verdict for row in fleet_of(user)),
        "new": mine.filter(_STATES["new"]).count(),
    }
    return render(request, "backups/databases.html", context)


@require_safe
@requires(Permission.VIEW)
def database(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a database with its backups."""
    found = look_up(request, Database, pk, Permission.VIEW)
    form = BackupForm(team=found.server.team)
    return render(request, "backups/database.html", _page(request, found, form))


@require_POST
@requires(Permission.RUN_BACKUP)
def database_backup(request: HttpRequest, pk: int) -> HttpResponse:
    """Request a backup."""
    found = look_up(request, Database, pk, Permission.RUN_BACKUP)
    form = BackupForm(request.POST, team=found.server.team)
    if form.is_valid():
        return _back_up(request, found, form)
    return render(request, "backups/database.html", _page(request, found, form), status=422)


@require_POST
@requires(Permission.CHANGE_DATABASE)
def database_inclusion(request: HttpRequest, pk: int) -> HttpResponse:
    """Exclude the database from backups or include it, whatever the server's patterns say."""
    found = look_up(request, Database, pk, Permission.CHANGE_DATABASE)
    inclusion = request.POST.get("inclusion", "")
    if inclusion not in Inclusion.values:
        messages.error(request, "Select whether the database is included.")
        return redirect("database", found.pk)
    set_inclusion(found, Inclusion(inclusion))
    team, details = found.server.team, {"inclusion": inclusion, "included": found.is_included}
    record(request, "database.inclusion", team=team, subject=found, details=details)
    is_what = "is included in backups" if found.is_included else "is excluded from backups"
    messages.success(request, f"{found.name} {is_what}.")
    return redirect("database", found.pk)


def _back_up(request: HttpRequest, found: Database, form: BackupForm) -> HttpResponse:
    try:
        asked = services.asked_before(found, form.cleaned_data["backup_id"])
        if asked is not None:
            return _lead_on(asked)
        backup = services.request_backup(found, user=signed_in(request), **form.cleaned_data)
    except CovetError as error:
        add_error_message(request, error)
        return redirect("database", found.pk)
    details = {"backup": str(backup.pk), "cipher": backup.cipher}
    record(request, "backup.run", team=found.server.team, subject=found, details=details)
    return _lead_on(backup)


def _lead_on(asked: Backup) -> HttpResponse:
    return redirect("job", asked.job_id) if asked.job_id else redirect("backup", asked.pk)


def _matching(rows: QuerySet[Database], form: DatabaseFilter) -> QuerySet[Database]:
    form.is_valid()
    values = form.cleaned_data
    rows = rows.filter(_STATES[values.get("state") or ""])
    if values.get("server"):
        rows = rows.filter(server=values["server"])
    for word in (values.get("q") or "").split()[:5]:
        rows = rows.filter(Q(name__icontains=word) | Q(server__name__icontains=word))
    return rows


def _page(request: HttpRequest, found: Database, form: BackupForm) -> dict[str, Any]:
    order = ORDERS["newest"]
    rows = backups_in(Database.objects.filter(pk=found.pk), BackupFilter())
    page = page_of(rows, order, request.GET.get("cursor", ""), size=20)
    good = found.backups.filter(state__in=RESTORABLE_STATES)
    return {
        "database": found,
        "team": found.server.team,
        "form": form,
        "page": page,
        "verdict": judged_one(found).verdict,
        "newest": good.order_by(*order).first(),
        "totals": good.aggregate(count=Count("pk"), stored=Sum("stored_bytes")),
        "command": command("backup", found, "--wait"),
    }
