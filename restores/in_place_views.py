"""Pages of restores that replace an existing database or restore into it.

They ask for the target, show the checks, and ask for the confirmation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from backups.models import Backup
from backups.views.shared import add_error_message, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.forms import posted
from covetbackup.access.reauthentication import reauthenticated
from covetbackup.access.roles import Permission
from covetbackup.command_line import command
from covetbackup.core.databases.checks import Check
from covetbackup.core.errors import BadSetting, CovetError, sentence
from restores.confirmation import check_context
from restores.forms.confirm import ConfirmForm
from restores.forms.existing import IntoExistingForm, ReplaceForm
from restores.models import Restore
from restores.preflight import preflight, sessions
from restores.request_flow import answered, ask, changing_by
from restores.requests import Confirmation
from restores.selection_text import options_of


@dataclass(frozen=True, slots=True)
class _Way:
    """What differs between the two: `option` of the command, and what the page of checks shows
    besides of a restore."""

    form: type[ReplaceForm | IntoExistingForm]
    start: str
    check: str
    option: str
    more: Callable[[Restore], dict[str, Any]]


# Who is connected matters only to a replacement, which ends all sessions.
_REPLACE = _Way(
    ReplaceForm,
    "restores/replace.html",
    "restores/replace_check.html",
    "--replace",
    lambda restore: {"sessions": sessions(restore)},
)
_ADD = _Way(
    IntoExistingForm,
    "restores/into_existing.html",
    "restores/into_existing_check.html",
    "--into",
    lambda restore: {},
)


@require_safe
@requires(Permission.RESTORE_OVERWRITE)
def restore_replace(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask which database is replaced."""
    return _start(request, pk, _REPLACE)


@require_safe
@requires(Permission.RESTORE_OVERWRITE)
def restore_into_existing(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask which existing database to restore into."""
    return _start(request, pk, _ADD)


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Permission.RESTORE_OVERWRITE)
@reauthenticated
def restore_replace_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Check a replacement, and request it once it is confirmed."""
    return _check(request, pk, _REPLACE)


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Permission.RESTORE_OVERWRITE)
@reauthenticated
def restore_into_existing_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Check a restore into an existing database, and request it once it is confirmed."""
    return _check(request, pk, _ADD)


def _start(request: HttpRequest, pk: UUID, way: _Way) -> HttpResponse:
    backup = changing_by(request, pk)
    form = way.form(backup=backup, user=signed_in(request), given=request.GET)
    return _start_page(request, backup, form, way)


def _check(request: HttpRequest, pk: UUID, way: _Way) -> HttpResponse:
    """GET looks whether it would work; POST looks again and, if nothing fails, asks for it."""
    backup = changing_by(request, pk)
    form: ReplaceForm | IntoExistingForm = answered(request, backup, way.form)
    if not form.is_valid():
        return _start_page(request, backup, form, way, status=422)
    last_word = ConfirmForm(posted(request))
    if last_word.is_valid():
        return _confirmed(request, form, last_word, way)
    status = 422 if last_word.is_bound else 200
    return _check_page(request, form, last_word, preflight(form.restore), way, status=status)


def _start_page(
    request: HttpRequest,
    backup: Backup,
    form: ReplaceForm | IntoExistingForm,
    way: _Way,
    status: int = 200,
) -> HttpResponse:
    name = form.suggestion(backup)
    words = (way.option, f"{backup.database.server.name}/{name}", "--confirm", name)
    text = command("restore", backup.label or backup.pk, *words, *options_of(form.begun))
    context = {"backup": backup, "form": form, "command": text}
    return render(request, way.start, context, status=status)


def _check_page(
    request: HttpRequest,
    form: ReplaceForm | IntoExistingForm,
    last_word: ConfirmForm,
    checks: list[Check],
    way: _Way,
    *,
    status: int = 422,
) -> HttpResponse:
    context: dict[str, Any] = {
        **check_context(request, form, checks),
        **way.more(form.restore),
        "confirm_form": last_word,
    }
    return render(request, way.check, context, status=status)


def _confirmed(
    request: HttpRequest, form: ReplaceForm | IntoExistingForm, last_word: ConfirmForm, way: _Way
) -> HttpResponse:
    said = Confirmation(last_word.cleaned_data["typed"], last_word.cleaned_data["safety"])

    def told(error: CovetError) -> None:
        if isinstance(error, BadSetting):
            last_word.add_error("typed", sentence(error))
        else:
            add_error_message(request, error)

    def page(checks: list[Check]) -> HttpResponse:
        return _check_page(request, form, last_word, checks, way)

    return ask(request, form.restore, page=page, add_error=told, confirmed=said)
