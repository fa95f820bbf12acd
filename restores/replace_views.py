"""From a backup to a replaced database: which one, checks and who is connected, the last word."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from backups.models import Backup
from backups.views.lookup import command, look_up, signed_in, tell
from covetbackup.access.decorators import reauthenticated, require, requires
from covetbackup.access.forms import posted
from covetbackup.access.roles import Permission
from covetbackup.core.errors import BadSetting, CovetError, sentence
from restores.checks import Check, is_refused
from restores.confirming import check_context, id_in
from restores.forms import ConfirmForm, ReplaceForm
from restores.plan import replaceable_for
from restores.preflight import preflight, sessions
from restores.requests import Confirmation, asked_before, request_restore


@require_safe
@requires(Permission.RESTORE_OVERWRITE)
def restore_replace(request: HttpRequest, pk: UUID) -> HttpResponse:
    backup = _restorable_by(request, pk)
    return _start_page(request, backup, ReplaceForm(backup=backup, user=signed_in(request)))


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Permission.RESTORE_OVERWRITE)
@reauthenticated
def restore_replace_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET looks whether it would work; POST looks again and, if nothing fails, asks for it."""
    backup = _restorable_by(request, pk)
    given = request.POST if request.method == "POST" else request.GET
    form = ReplaceForm(given, backup=backup, user=signed_in(request))
    if not form.is_valid():
        return _start_page(request, backup, form, status=422)
    last_word = ConfirmForm(posted(request))
    if last_word.is_valid():
        return _confirmed(request, form, last_word)
    status = 422 if last_word.is_bound else 200
    return _check_page(request, form, last_word, preflight(form.plan), status)


def _restorable_by(request: HttpRequest, pk: UUID) -> Backup:
    """The backup; 404 if the user may not see it, 403 if there is no server to replace on."""
    backup = look_up(request, Backup, pk, Permission.VIEW)
    if not replaceable_for(signed_in(request), backup).exists():
        require(request, Permission.RESTORE_OVERWRITE, backup.database.server.team)
    return backup


def _start_page(
    request: HttpRequest, backup: Backup, form: ReplaceForm, status: int = 200
) -> HttpResponse:
    place = f"{backup.database.server.name}/{backup.database.name}"
    words = ("--replace", place, "--confirm", backup.database.name)
    text = command("restore", backup.label or backup.pk, *words)
    context = {"backup": backup, "form": form, "command": text}
    return render(request, "restores/replace.html", context, status=status)


def _check_page(
    request: HttpRequest,
    form: ReplaceForm,
    last_word: ConfirmForm,
    checks: list[Check],
    status: int,
) -> HttpResponse:
    context: dict[str, Any] = {
        **check_context(request, form, checks),
        "sessions": sessions(form.plan),
        "confirm_form": last_word,
    }
    return render(request, "restores/replace_check.html", context, status=status)


def _confirmed(request: HttpRequest, form: ReplaceForm, last_word: ConfirmForm) -> HttpResponse:
    plan, restore_id = form.plan, id_in(request.POST.get("restore", ""))
    found = asked_before(plan, restore_id)
    if found is not None:
        return redirect("restore", found.pk)
    checks = preflight(plan)
    if is_refused(checks):
        return _check_page(request, form, last_word, checks, 422)
    said = Confirmation(last_word.cleaned_data["typed"], last_word.cleaned_data["safety"])
    try:
        found = request_restore(
            plan, by=request, checks=checks, restore_id=restore_id, confirmed=said
        )
    except BadSetting as error:
        last_word.add_error("typed", sentence(error))
    except CovetError as error:
        tell(request, error)
    if found is None:
        return _check_page(request, form, last_word, checks, 422)
    return redirect("restore", found.pk)
