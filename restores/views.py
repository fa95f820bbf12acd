"""Pages from a backup to a restored database: target, checks, confirmation, progress, result.

Each step has an address that can be passed on; nothing is written before the confirmation.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from backups.models import Backup
from backups.views.shared import add_error_message, look_up, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.command_line import command
from covetbackup.core.databases.checks import Check
from covetbackup.ignored_filters import ignored
from covetbackup.jobs.models import JobState
from covetbackup.jobs.views import live_context
from covetbackup.paging import page_of
from restores.confirmation import check_context, command_of, sets_owners, switches_of
from restores.forms.existing import IntoExistingForm
from restores.forms.selection import RestoreScope
from restores.forms.target import TargetForm
from restores.models import Restore, RetainedDatabase
from restores.preflight import preflight
from restores.request_flow import answered, ask, restorable_by
from restores.result import ResultStage, explanation, heading, is_settled, stage_of, summary_of
from restores.selection_text import options_of, text_of
from restores.target_server import connect_command, features_of
from restores.targets import replaceable_for

_ORDER = ("-created_at", "-id")
_FOLLOWED = ("backup__database__server__team", "target_server__team", "job", "requested_by")


@require_safe
@requires(Permission.VIEW)
def restores(request: HttpRequest) -> HttpResponse:
    """Show the list of restores."""
    rows = Restore.objects.visible_to(request.user).select_related(*_FOLLOWED)
    rows = rows.defer("preflight", "backup__inventory", "backup__phases")
    page = page_of(rows, _ORDER, request.GET.get("cursor", ""))
    done = rows.filter(job__state=JobState.SUCCEEDED)
    context = {
        "page": page,
        "rows": [(row, summary_of(row)) for row in page.rows],
        "newest": done.order_by(*_ORDER).first(),
        "ignored": ignored(request.GET.dict()),
    }
    return render(request, "restores/restores.html", context)


@require_safe
@requires(Permission.RESTORE_NEW)
def restore_start(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for the target of a restore."""
    backup = restorable_by(request, pk)
    if RestoreScope.of(request.GET.get("what")) is RestoreScope.DATA:
        # Rows alone go into tables that are there, so which database has them is the question.
        return redirect(f"{reverse('restore-into-existing', args=[pk])}?{request.GET.urlencode()}")
    form = TargetForm(backup=backup, user=signed_in(request), given=request.GET)
    return _start_page(request, backup, form)


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Permission.RESTORE_NEW)
def restore_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET looks whether it would work; POST looks again and, if nothing fails, asks for it."""
    backup = restorable_by(request, pk)
    form = answered(request, backup, TargetForm)
    if not form.is_valid():
        return _start_page(request, backup, form, status=422)
    if request.method == "POST":
        refused = partial(_check_page, request, form, status=422)
        return ask(
            request,
            form.restore,
            page=refused,
            add_error=partial(add_error_message, request),
        )
    return _check_page(request, form, preflight(form.restore))


@require_safe
@requires(Permission.VIEW)
def restore(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a restore."""
    found = _restore(request, pk)
    return render(request, "restores/restore.html", _page(request, found))


@never_cache
@require_safe
@requires(Permission.VIEW)
def restore_result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Return the part of the page that is fetched when the job has ended."""
    found = _restore(request, pk)
    return render(request, "restores/_result.html", _page(request, found))


def _restore(request: HttpRequest, pk: UUID) -> Restore:
    look_up(request, Restore, pk, Permission.VIEW)
    rows = Restore.objects.select_related(*_FOLLOWED, "repository", "safety_backup__job")
    return rows.get(pk=pk)


def _start_page(
    request: HttpRequest, backup: Backup, form: TargetForm, status: int = 200
) -> HttpResponse:
    options = options_of(form.begun)
    words = command("restore", backup.label or backup.pk, "--as", form.initial["name"], *options)
    may_replace = replaceable_for(signed_in(request), backup).exists()
    context = {
        "backup": backup,
        "form": form,
        "command": words,
        "may_replace": may_replace,
        "adds": RestoreScope.SOME in IntoExistingForm.offered(features_of(backup.database.server)),
        "selects": features_of(backup.database.server).selects,
        "is_part": form.is_part,
    }
    return render(request, "restores/start.html", context, status=status)


def _check_page(
    request: HttpRequest, form: TargetForm, checks: list[Check], status: int = 200
) -> HttpResponse:
    context = check_context(request, form, checks)
    return render(request, "restores/check.html", context, status=status)


def _page(request: HttpRequest, found: Restore) -> dict[str, Any]:
    server, job = found.target_server, found.job
    return {
        "restore": found,
        "job": job,
        "team": server.team,
        "heading": heading(found),
        "summary": summary_of(found),
        "is_done": stage_of(found) is ResultStage.DONE,
        "explanation": "" if stage_of(found) is ResultStage.DONE else explanation(found),
        "database": server.databases.filter(name=found.request.database).first(),
        "connect": connect_command(server, found.request.database),
        "owner_word": features_of(server).owner_word,
        "switches": switches_of(found),
        "has_owners": sets_owners(found),
        "selected": text_of(found.request.selection) if found.request.selection else "",
        "retained": RetainedDatabase.objects.filter(restore=found).select_related("job").first(),
        "waits_for": _waits_for(found),
        "sees_backup": signed_in(request).may(
            Permission.VIEW, found.backup.database.server.team_id
        ),
        "seconds": _seconds(found),
        "is_settling": job is not None and not job.is_active and not is_settled(found),
        "command": command_of(found) if found.repository else "",
        **(live_context(job) if job is not None and job.is_active else {}),
    }


def _waits_for(found: Restore) -> Backup | None:
    """The safety backup, as long as that has not been decided on."""
    job = found.job
    is_held = job is not None and job.state == JobState.QUEUED and job.run_after > timezone.now()
    return found.safety_backup if is_held else None


def _seconds(found: Restore) -> float | None:
    job = found.job
    if job is None or job.started_at is None or job.finished_at is None:
        return None
    return (job.finished_at - job.started_at).total_seconds()
