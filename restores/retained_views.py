"""Confirmation pages before a retained database is dropped, or swapped back."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from backups.views.shared import add_error_message, look_up
from covetbackup.access.decorators import requires
from covetbackup.access.forms import posted
from covetbackup.access.reauthentication import reauthenticated
from covetbackup.access.roles import Permission
from covetbackup.command_line import command
from covetbackup.core.errors import BadSetting, CovetError, sentence
from covetbackup.jobs.models import Job
from restores.forms.confirm import TypedForm
from restores.models import Restore, RetainedDatabase, RetainedState
from restores.retained import request_drop, request_swap_back


@require_http_methods(["GET", "POST"])
@requires(Permission.RESTORE_OVERWRITE)
@reauthenticated
def revert_restore(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Confirm and request a revert."""
    previous = _find_retained(request, pk)
    words = command("revert_restore", pk, "--confirm", previous.restore.request.database)
    context = {"expected": previous.restore.request.database, "command": words}
    return _page(request, "restores/revert.html", previous, context, request_swap_back)


@require_http_methods(["GET", "POST"])
@requires(Permission.RESTORE_OVERWRITE)
@reauthenticated
def delete_retained(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Confirm and request the deletion of a retained database."""
    previous = _find_retained(request, pk)
    words = command("drop_retained", pk, "--confirm", previous.name)
    context = {"expected": previous.name, "command": words}
    return _page(request, "restores/delete_retained.html", previous, context, request_drop)


def _find_retained(request: HttpRequest, pk: UUID) -> RetainedDatabase:
    found = look_up(request, Restore, pk, Permission.RESTORE_OVERWRITE)
    rows = RetainedDatabase.objects.select_related("restore__target_server__team")
    previous = (
        rows.filter(restore=found)
        .exclude(state__in=(RetainedState.DROPPED, RetainedState.GONE))
        .first()
    )
    if previous is None:
        raise Http404("nothing that this restore replaced is retained any more")
    return previous


def _page(
    request: HttpRequest,
    template: str,
    previous: RetainedDatabase,
    context: dict[str, str],
    ask: Callable[..., Job],
) -> HttpResponse:
    form = TypedForm(posted(request))
    if form.is_valid():
        try:
            return redirect("job", ask(previous, by=request, typed=form.cleaned_data["typed"]).pk)
        except BadSetting as error:
            form.add_error("typed", sentence(error))
        except CovetError as error:
            add_error_message(request, error)
            return redirect("restore", previous.restore_id)
    status = 422 if form.is_bound else 200
    return render(request, template, {**context, "retained": previous, "form": form}, status=status)
