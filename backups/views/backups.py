"""Backups: the list, one backup with all that is known of it, and what can be done with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups import copy_requests, services
from backups.copy_requests import TO_BE_MADE
from backups.forms.backups import DeleteForm, NoteForm, VerifyForm
from backups.forms.searches import BackupSearch
from backups.listing import ORDERS, PARAMETERS, RESTORABLE, BackupFilter, backups_of
from backups.models import Backup, BackupState, Database, Repository
from backups.models.backup import RESTORABLE_STATES
from backups.verdict_data import verdict_of
from backups.views.shared import add_error_message, look_up, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.forms import posted
from covetbackup.access.models import User
from covetbackup.access.reauthentication import reauthenticated
from covetbackup.access.roles import Permission
from covetbackup.access.templatetags.ui import printable
from covetbackup.audit.log import record
from covetbackup.command_line import command
from covetbackup.core.errors import CovetError
from covetbackup.ignored_filters import ignored
from covetbackup.paging import page_of

_LOG_LINES = 200
_TABLES = 200


@require_safe
@requires(Permission.VIEW)
def backups(request: HttpRequest) -> HttpResponse:
    """Show the list of backups."""
    user = signed_in(request)
    given = request.GET.dict()
    criteria = BackupFilter.of(given)
    rows = backups_of(user, criteria)
    is_first = "cursor" not in given and not criteria.is_narrow and criteria.order == "newest"
    context = {
        "ignored": ignored(given, PARAMETERS, criteria.wrong(given)),
        "newest": _newest_restorable(user) if is_first else None,
        "form": BackupSearch(request.GET or None, user=user),
        "is_filtered": criteria.is_narrow,
        "is_first": is_first,
        "command": _list_command(criteria, user),
        "page": page_of(rows, ORDERS[criteria.order], request.GET.get("cursor", "")),
    }
    return render(request, "backups/backups.html", context)


@require_safe
@requires(Permission.VIEW)
def backup(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a backup."""
    found = look_up(request, Backup, pk, Permission.VIEW)
    return render(request, "backups/backup.html", _page(request, found))


@require_POST
@requires(Permission.VERIFY)
def backup_verify(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Request a verification."""
    found = look_up(request, Backup, pk, Permission.VERIFY)
    form = VerifyForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Unknown verification level.")
        return redirect("backup", found.pk)
    level = form.cleaned_data["level"]
    try:
        job = services.request_verify(found, level, user=signed_in(request))
    except CovetError as error:
        add_error_message(request, error)
        return redirect("backup", found.pk)
    team = found.database.server.team
    record(request, "backup.verify", team=team, subject=found, details={"level": level})
    return redirect("job", job.pk)


@require_POST
@requires(Permission.RUN_BACKUP)
def backup_copy(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Request the missing copies, to be made from an intact one."""
    found = look_up(request, Backup, pk, Permission.RUN_BACKUP)
    try:
        jobs = copy_requests.request_missing(found, user=signed_in(request))
    except CovetError as error:
        add_error_message(request, error)
        return redirect("backup", found.pk)
    details = {"jobs": [job.pk for job in jobs]}
    record(request, "backup.copy", team=found.database.server.team, subject=found, details=details)
    return redirect("job", jobs[0].pk) if len(jobs) == 1 else redirect("jobs")


@require_http_methods(["GET", "POST"])
@requires(Permission.DELETE_BACKUP)
@reauthenticated
def backup_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Confirm and request the removal of a backup."""
    found = look_up(request, Backup, pk, Permission.DELETE_BACKUP)
    expected = found.database.name if _is_last_good(found) else ""
    form = DeleteForm(posted(request), expected=expected)
    if form.is_valid():
        return _delete(request, found)
    context = {
        "backup": found,
        "form": form,
        "expected": expected,
        "copies": found.copies.count(),
        "command": command("delete", found.label or found.pk, "--yes"),
    }
    status = 422 if form.is_bound else 200
    return render(request, "backups/backup_delete.html", context, status=status)


@require_POST
@requires(Permission.RUN_BACKUP)
def backup_pin(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Pin or unpin a backup: pinning needs the right to back up, unpinning the right to delete."""
    is_pinned = request.POST.get("pinned") == "1"
    permission = Permission.RUN_BACKUP if is_pinned else Permission.DELETE_BACKUP
    found = look_up(request, Backup, pk, permission)
    services.set_pinned(found, is_pinned)
    action = "backup.pin" if is_pinned else "backup.unpin"
    record(request, action, team=found.database.server.team, subject=found)
    return redirect("backup", found.pk)


@require_POST
@requires(Permission.RUN_BACKUP)
def backup_note(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Save the note and the tags of a backup."""
    found = look_up(request, Backup, pk, Permission.RUN_BACKUP)
    form = NoteForm(request.POST)
    if form.is_valid():
        services.set_note(found, form.cleaned_data["note"], form.cleaned_data["tags"])
        record(request, "backup.note", team=found.database.server.team, subject=found)
        messages.success(request, "Saved.")
    else:
        messages.error(request, "The note or the tags are too long.")
    return redirect("backup", found.pk)


def _newest_restorable(user: User) -> Backup | None:
    return backups_of(user, BackupFilter(state=RESTORABLE)).first()


def _list_command(criteria: BackupFilter, user: User) -> str:
    """The same list, as far as the command has its filters."""
    database = Database.objects.visible_to(user).filter(pk=criteria.database).first()
    repository = Repository.objects.visible_to(user).filter(pk=criteria.repository).first()
    options = {"search": criteria.search, "state": criteria.state}
    options |= {"database": str(database or ""), "repo": str(repository or "")}
    options |= {"order": criteria.order} if criteria.order != "newest" else {}
    words = [f"--{name}={value}" for name, value in options.items() if value]
    words += [f"--since={criteria.since:%Y-%m-%d}"] if criteria.since else []
    words += [f"--until={criteria.until:%Y-%m-%d}"] if criteria.until else []
    return command("list", *words)


def _delete(request: HttpRequest, found: Backup) -> HttpResponse:
    try:
        job = services.request_delete(found, user=signed_in(request))
    except CovetError as error:
        add_error_message(request, error)
        return redirect("backup", found.pk)
    record(request, "backup.delete", team=found.database.server.team, subject=found)
    return redirect("job", job.pk)


def _is_last_good(found: Backup) -> bool:
    others = found.database.backups.filter(state__in=RESTORABLE_STATES).exclude(pk=found.pk)
    return found.is_restorable and not others.exists()


def _page(request: HttpRequest, found: Backup) -> dict[str, Any]:
    verdict = verdict_of(found)
    log = list(found.job.events.order_by("-id")[:_LOG_LINES]) if found.job else []
    lacks_copies = found.copies.filter(TO_BE_MADE).exists()
    may_be_copied = found.is_restorable and lacks_copies
    return {
        "backup": found,
        "verdict": verdict,
        "team": found.database.server.team,
        "copies": found.copies.select_related("repository", "job").order_by("repository__name"),
        "may_be_copied": may_be_copied,
        "holds": found.holds.select_related("placed_by"),
        "phases": _phases(found),
        "log": [(event, printable(event.text)) for event in reversed(log)],
        "commands": _commands(found, may_be_copied=may_be_copied),
        **_speed(found),
        "verify_form": VerifyForm(),
        "note_form": NoteForm(initial={"note": found.note, "tags": ", ".join(found.tags)}),
        **_contents(found, request.GET.get("table", "")),
    }


def _commands(found: Backup, *, may_be_copied: bool) -> list[tuple[str, str]]:
    """Each with what it does."""
    name = found.label or found.pk
    copy = [("Copy again", command("copy", name))] if may_be_copied else []
    may_be_verified = found.is_restorable or (found.state == BackupState.FAILED and found.label)
    check = [("Verify", command("verify", name, "--level", "checksum"))] if may_be_verified else []
    return [*copy, *check]


def _speed(found: Backup) -> dict[str, Any]:
    duration = _duration(found)
    if duration is None:
        return {"duration": None, "rate": None}
    seconds = duration.total_seconds()
    rate = found.plain_bytes / seconds if found.plain_bytes and seconds else None
    return {"duration": duration, "rate": rate}


def _duration(found: Backup) -> timedelta | None:
    """As the page of its job tells it; of the backup alone where there is no such job."""
    job = found.job
    if job is not None and job.kind == "backup" and job.started_at and job.finished_at:
        return job.finished_at - job.started_at
    if found.started_at and found.finished_at:
        return found.finished_at - found.started_at
    return None


def _contents(found: Backup, wanted: str) -> dict[str, Any]:
    """What the inventory says, its tables cut to those that match and to a bearable number."""
    inventory = found.inventory
    wanted = wanted.strip().lower()
    tables = [row for row in inventory.get("tables", ()) if wanted in _label(row).lower()]
    return {
        "tables": [row | {"label": _label(row)} for row in tables[:_TABLES]],
        "tables_matching": len(tables),
        "tables_all": len(inventory.get("tables", ())),
        "wanted": wanted,
        "objects": sorted((inventory.get("objects") or {}).items()),
        "extensions": inventory.get("extensions", ()),
    }


def _label(table: dict[str, Any]) -> str:
    return ".".join(filter(None, (table.get("schema", ""), table.get("name", ""))))


def _phases(found: Backup) -> list[dict[str, Any]]:
    """Each phase with its share of the whole time, in percent, for a meter."""
    total = sum(phase.get("seconds", 0) for phase in found.phases) or 1
    return [
        phase | {"share": round(100 * phase.get("seconds", 0) / total)} for phase in found.phases
    ]
