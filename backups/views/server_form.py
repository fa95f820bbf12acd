"""Adding and editing a server: what was entered is tried before it is stored."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from backups.discovery import note_problem
from backups.forms import skip_test_token
from backups.forms.servers import SERVER_FORMS, ServerForm
from backups.models import Server
from backups.probing import remember, try_server
from backups.views.servers import command_for, find_databases
from backups.views.shared import add_error_message, look_up, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.forms import posted
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.audit.models import Outcome
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.registry import kind_titles
from covetbackup.core.databases.server import ServerProbe
from covetbackup.core.errors import CovetError


@require_http_methods(["GET", "POST"])
@requires(Permission.CHANGE_DATABASE)
def server_add(request: HttpRequest) -> HttpResponse:
    """Add a server."""
    kind = request.GET.get("kind", "")
    form_class = SERVER_FORMS.get(kind, next(iter(SERVER_FORMS.values())))
    return _edit(request, form_class(posted(request), user=signed_in(request)))


@require_http_methods(["GET", "POST"])
@requires(Permission.CHANGE_DATABASE)
def server_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Edit a server."""
    found = look_up(request, Server, pk, Permission.CHANGE_DATABASE)
    form_class = SERVER_FORMS[found.kind]
    return _edit(request, form_class(posted(request), instance=found, user=signed_in(request)))


def _edit(request: HttpRequest, form: ServerForm) -> HttpResponse:
    """Show, test, or test and save what was entered."""
    if request.method == "GET":
        return _page(request, form)
    if not form.is_valid():
        return _page(request, form, status=422)
    if skip_test_token.verify(form, signed_in(request), request.POST.get("untested", "")):
        return _save_untested(request, form)
    if "test" in request.POST or form.leads_elsewhere():
        return _try(request, form)
    return _save(request, form, None)


def _page(request: HttpRequest, form: ServerForm, status: int = 200, **result: Any) -> HttpResponse:
    kinds = [each for each in kind_titles() if each[0] in SERVER_FORMS]
    context = {
        "form": form,
        "server": form.instance,
        "kinds": kinds,
        "command": "" if form.instance.pk else command_for(form.instance),
        **result,
    }
    is_part = request.htmx and "test" in request.POST
    template = "backups/_server_test.html" if is_part else "backups/server_form.html"
    return render(request, template, context, status=status)


def _try(request: HttpRequest, form: ServerForm) -> HttpResponse:
    """Test what was entered; save it if that was asked for and the test passed."""
    is_test = "test" in request.POST
    try:
        check = try_server(form.instance, password=form.typed_password())
    except CovetError as problem:
        _note(request, form, "server.test", Outcome.FAILED)
        token = skip_test_token.issue(form, signed_in(request), problem)
        status = 200 if is_test else 422
        return _page(request, form, status, problem=problem, skip_test_token=token)
    if not is_test:
        return _save(request, form, check)
    _note(request, form, "server.test", Outcome.DONE)
    return _page(request, form, check=check)


def _save(request: HttpRequest, form: ServerForm, check: ServerProbe | None) -> HttpResponse:
    is_new = form.instance.pk is None
    try:
        saved = form.save()
    except CovetError as error:
        return _page(request, form, status=422, problem=error)
    _note(request, form, "server.add" if is_new else "server.edit", Outcome.DONE, saved)
    if is_new:
        find_databases(request, saved)
    else:
        messages.success(request, "Saved.")
    if check is not None:
        remember(saved, check)
        _warn(request, check)
    return redirect("server", saved.pk)


def _save_untested(request: HttpRequest, form: ServerForm) -> HttpResponse:
    if form.errors:
        return _page(request, form, status=422)
    is_new = form.instance.pk is None
    try:
        saved = form.save()
    except CovetError as error:
        return _page(request, form, status=422, problem=error)
    problem = "saved without a test because the server could not be reached"
    note_problem(saved, problem, is_unreachable=True)
    action = "server.add-untested" if is_new else "server.edit-untested"
    _note(request, form, action, Outcome.DONE, saved)
    messages.warning(
        request, "Saved without a test. Refresh databases once the server is reachable."
    )
    return redirect("server", saved.pk)


def _warn(request: HttpRequest, check: ServerProbe) -> None:
    for finding in check.checks[:5]:
        if finding.level is Level.FAIL:
            add_error_message(
                request, CovetError(f"{finding.title}: {finding.detail}", finding.fix)
            )


def _note(
    request: HttpRequest,
    form: ServerForm,
    action: str,
    outcome: Outcome,
    subject: Server | None = None,
) -> None:
    team, details = form.cleaned_data["team"], form.for_the_record()
    record(request, action, team=team, subject=subject, outcome=outcome, details=details)
