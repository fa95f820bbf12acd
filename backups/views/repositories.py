"""Repositories: the list, one repository, adding a folder or a bucket, and the test."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups.forms.repositories import REPOSITORY_FORMS, RepositoryForm
from backups.listing import ORDERS, BackupFilter, backups_in
from backups.models import CopyState, Database, Repository
from backups.models.backup import UNUSABLE_STATES
from backups.models.repository import RepositoryKind
from backups.onboarding import add_repository, check_repository, make_default
from backups.state import DAMAGED_COPIES
from backups.views.shared import look_up, signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.forms import posted
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.audit.models import Outcome
from covetbackup.command_line import command
from covetbackup.core.errors import CovetError
from covetbackup.ignored_filters import ignored
from covetbackup.paging import page_of

_HELD = (CopyState.STORED, CopyState.VERIFIED)


@require_safe
@requires(Permission.VIEW)
def repositories(request: HttpRequest) -> HttpResponse:
    """Show the list of repositories."""
    mine = Repository.objects.visible_to(signed_in(request)).select_related("team")
    damaged = Count("copies", filter=Q(copies__state__in=DAMAGED_COPIES))
    page = page_of(mine.annotate(damaged=damaged), ("name", "id"), request.GET.get("cursor", ""))
    context = {
        "page": page,
        "ignored": ignored(request.GET.dict()),
        "totals": mine.aggregate(all=Count("pk"), troubled=Count("pk", filter=~Q(problem=""))),
    }
    return render(request, "backups/repositories.html", context)


@require_safe
@requires(Permission.VIEW)
def repository(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a repository."""
    found = look_up(request, Repository, pk, Permission.VIEW)
    return render(request, "backups/repository.html", _page(found))


@require_http_methods(["GET", "POST"])
@requires(Permission.CHANGE_REPOSITORY)
def repository_add(request: HttpRequest) -> HttpResponse:
    """Add a repository."""
    kind = request.GET.get("kind", "")
    form_class = REPOSITORY_FORMS.get(kind, REPOSITORY_FORMS[RepositoryKind.LOCAL.value])
    form = form_class(posted(request), user=signed_in(request))
    problem = None
    if request.method == "POST" and form.is_valid():
        try:
            return _added(request, form)
        except CovetError as error:
            problem = error
            _note_failure(request, form)
    return _form_page(request, form, problem)


@require_POST
@requires(Permission.CHANGE_REPOSITORY)
def repository_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Test a repository."""
    found = look_up(request, Repository, pk, Permission.CHANGE_REPOSITORY)
    steps = check_repository(found)
    outcome = Outcome.FAILED if found.problem else Outcome.DONE
    record(request, "repository.test", team=found.team, subject=found, outcome=outcome)
    if request.htmx:
        return render(request, "backups/_repository_check.html", {"steps": steps})
    return render(request, "backups/repository.html", _page(found) | {"steps": steps})


@require_POST
@requires(Permission.CHANGE_REPOSITORY)
def repository_default(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a repository the default one."""
    found = look_up(request, Repository, pk, Permission.CHANGE_REPOSITORY)
    make_default(found)
    record(request, "repository.default", team=found.team, subject=found)
    messages.success(request, f"{found.name} is now the default repository.")
    return redirect("repository", found.pk)


def _form_page(
    request: HttpRequest, form: RepositoryForm, problem: CovetError | None
) -> HttpResponse:
    context = {
        "form": form,
        "problem": problem,
        "kinds": [(one.value, one.label) for one in RepositoryKind],
    }
    status = 422 if form.errors or problem else 200
    return render(request, "backups/repository_form.html", context, status=status)


def _note_failure(request: HttpRequest, form: RepositoryForm) -> None:
    details = {"url": form.instance.url}
    team = form.cleaned_data["team"]
    record(request, "repository.test", team=team, outcome=Outcome.FAILED, details=details)


def _added(request: HttpRequest, form: RepositoryForm) -> HttpResponse:
    added = add_repository(form.unsaved(), form.credentials())
    details = {"url": added.url}
    record(request, "repository.add", team=added.team, subject=added, details=details)
    messages.success(request, f"{added.name} is ready for backups.")
    return redirect("repository", added.pk)


def _page(found: Repository) -> dict[str, Any]:
    criteria = BackupFilter(repository=found.pk)
    rows = backups_in(Database.objects.filter(server__team=found.team), criteria)
    # Of a run that failed or was cancelled there never was a copy.
    never = Q(state=CopyState.FAILED, backup__state__in=UNUSABLE_STATES)
    states = (
        found.copies.exclude(never).values_list("state").annotate(Count("pk")).order_by("state")
    )
    counts = list(states)
    return {
        "repository": found,
        "team": found.team,
        "states": counts,
        "held": sum(count for state, count in counts if state in _HELD),
        "page": page_of(rows, ORDERS["newest"], size=10),
        "command": command("rebuild_catalog", found.name),
    }
