"""Databases: the list, and one database with its backups and "Back up now"."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from backups import catalog
from backups.forms.backups import BackupForm
from backups.forms.searches import DatabaseFilter
from backups.listing import ORDERS, backups_in
from backups.listing import BackupFilter as Chosen
from backups.models import Backup, Database, DatabaseState
from backups.models.backup import RESTORABLE_STATES
from backups.views.lookup import command, look_up, signed_in, tell
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.core.errors import CovetError
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
    user = signed_in(request)
    form = DatabaseFilter(request.GET, user=user)
    mine = Database.objects.visible_to(user)
    rows = with_last_backup(_matching(mine, form).select_related("server"))
    context = {
        "form": form,
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "page": page_of(rows, ("name", "id"), request.GET.get("cursor", "")),
        "totals": _totals(mine),
    }
    return render(request, "backups/databases.html", context)


@require_safe
@requires(Permission.VIEW)
def database(request: HttpRequest, pk: int) -> HttpResponse:
    found = look_up(request, Database, pk, Permission.VIEW)
    form = BackupForm(team=found.server.team)
    return render(request, "backups/database.html", _page(request, found, form))


@require_POST
@requires(Permission.RUN_BACKUP)
def database_backup(request: HttpRequest, pk: int) -> HttpResponse:
    found = look_up(request, Database, pk, Permission.RUN_BACKUP)
    form = BackupForm(request.POST, team=found.server.team)
    if form.is_valid():
        return _back_up(request, found, form)
    return render(request, "backups/database.html", _page(request, found, form), status=422)


def _back_up(request: HttpRequest, found: Database, form: BackupForm) -> HttpResponse:
    try:
        asked = catalog.asked_before(found, form.cleaned_data["backup_id"])
        if asked is not None:
            return _lead_on(asked)
        backup = catalog.request_backup(found, user=signed_in(request), **form.cleaned_data)
    except CovetError as error:
        tell(request, error)
        return redirect("database", found.pk)
    details = {"backup": str(backup.pk), "cipher": backup.cipher}
    record(request, "backup.run", team=found.server.team, subject=found, details=details)
    return _lead_on(backup)


def _lead_on(asked: Backup) -> HttpResponse:
    return redirect("job", asked.job_id) if asked.job_id else redirect("backup", asked.pk)


def with_last_backup(rows: QuerySet[Database]) -> QuerySet[Database]:
    """Adds what a list says of each database: its newest good backup, and how the last run went."""
    newest = Backup.objects.filter(database=OuterRef("pk")).order_by("-created_at", "-id")
    good = newest.filter(state__in=RESTORABLE_STATES)
    return rows.annotate(
        last_good_at=Subquery(good.values("consistent_at")[:1]),
        last_good_id=Subquery(good.values("id")[:1]),
        last_stored=Subquery(good.values("stored_bytes")[:1]),
        last_state=Subquery(newest.values("state")[:1], output_field=models.CharField()),
    )


def _matching(rows: QuerySet[Database], form: DatabaseFilter) -> QuerySet[Database]:
    form.is_valid()
    values = form.cleaned_data
    rows = rows.filter(_STATES[values.get("state") or ""])
    if values.get("server"):
        rows = rows.filter(server=values["server"])
    for word in (values.get("q") or "").split()[:5]:
        rows = rows.filter(Q(name__icontains=word) | Q(server__name__icontains=word))
    return rows


def _totals(rows: QuerySet[Database]) -> dict[str, int]:
    good = Backup.objects.filter(database=OuterRef("pk"), state__in=RESTORABLE_STATES)
    protected = models.Exists(good)
    included = _STATES[""]
    totals: dict[str, int] = rows.aggregate(
        all=Count("pk", filter=included),
        new=Count("pk", filter=_STATES["new"]),
        unprotected=Count("pk", filter=included & ~Q(protected)),
    )
    return totals


def _page(request: HttpRequest, found: Database, form: BackupForm) -> dict[str, Any]:
    order = ORDERS["newest"]
    rows = backups_in(Database.objects.filter(pk=found.pk), Chosen())
    page = page_of(rows, order, request.GET.get("cursor", ""), size=20)
    good = found.backups.filter(state__in=RESTORABLE_STATES)
    return {
        "database": found,
        "team": found.server.team,
        "form": form,
        "page": page,
        "newest": good.order_by(*order).first(),
        "totals": good.aggregate(count=Count("pk"), stored=models.Sum("stored_bytes")),
        "command": command("backup", found, "--wait"),
        "schedules": found.schedules.select_related("retention"),
    }
