"""The page of teams and roles, and what owners do there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from covetbackup.access import teams
from covetbackup.access.decorators import require, requires
from covetbackup.access.forms import ROLES, InvitationForm, RoleForm, posted
from covetbackup.access.models import Membership, Team
from covetbackup.access.reauthentication import reauthenticated
from covetbackup.access.roles import NOT_USED_YET, PERMISSIONS, TITLES, Permission, Role
from covetbackup.audit.log import record
from covetbackup.core.errors import Conflict, sentence


@require_safe
@requires(Permission.VIEW)
def team(request: HttpRequest) -> HttpResponse:
    """Show the members of the user's teams, and the permissions of the roles."""
    seen = request.user.teams_with(Permission.VIEW)
    shown = [one for one in Permission if one not in NOT_USED_YET]
    rights = [(TITLES[one], [one in PERMISSIONS[role] for role in Role]) for one in shown]
    context = {
        "teams": [(one, teams.members_of(one)) for one in seen],
        "roles": ROLES,
        "rights": rights,
    }
    return render(request, "access/team.html", context)


@require_http_methods(["GET", "POST"])
@requires(Permission.MANAGE_TEAM)
@reauthenticated
def team_invite(request: HttpRequest, pk: int) -> HttpResponse:
    """Invite a member."""
    found = _team(request, pk)
    form = InvitationForm(posted(request), initial={"role": Role.VIEWER.value})
    context = {"form": form, "team": found}
    if request.method == "POST" and form.is_valid():
        try:
            context["link"] = _invite(request, found, form)
        except Conflict as error:
            form.add_error("username", sentence(error))
    return render(request, "access/team_invite.html", context, status=422 if form.errors else 200)


@require_POST
@requires(Permission.MANAGE_TEAM)
@reauthenticated
def team_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a member's role."""
    membership = _membership(request, pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "There is no such role.")
        return redirect("team")
    details = {"from": membership.role, "to": form.cleaned_data["role"]}
    with _conflicts_told(request):
        teams.change_role(membership, Role(details["to"]))
        record(request, "member.role", team=membership.team, subject=membership, details=details)
        messages.success(request, f"{membership.user} is {details['to']} now.")
    return redirect("team")


@require_http_methods(["GET", "POST"])
@requires(Permission.MANAGE_TEAM)
@reauthenticated
def team_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks whether it is meant."""
    membership = _membership(request, pk)
    if request.method == "GET":
        return render(request, "ui/confirm.html", _removal(membership))
    with _conflicts_told(request):
        teams.remove(membership)
        record(request, "member.remove", team=membership.team, subject=membership)
        messages.success(request, f"{membership.user} is no longer in {membership.team}.")
    return redirect("team")


@transaction.atomic
def _invite(request: HttpRequest, team: Team, form: InvitationForm) -> str:
    role = Role(form.cleaned_data["role"])
    names = {"username": form.cleaned_data["username"], "email": form.cleaned_data["email"]}
    membership, link = teams.invite(team, role=role, **names)
    details = {"role": membership.role}
    record(request, "member.invite", team=team, subject=membership, details=details)
    return link


def _removal(membership: Membership) -> dict[str, object]:
    user, team = membership.user, membership.team
    return {
        "question": f"Remove {user} from {team}?",
        "consequences": (
            f"{user} is {membership.role} of {team} and loses access to its servers and backups.",
            "Backups and restores that this member started are kept.",
        ),
        "label": "Remove member",
        "picture": "delete",
        "back": reverse("team"),
        "back_title": "Team and roles",
    }


@contextmanager
def _conflicts_told(request: HttpRequest) -> Iterator[None]:
    """All or nothing of the block; what stands in its way becomes a message on the next page."""
    try:
        with transaction.atomic():
            yield
    except Conflict as error:
        messages.error(request, sentence(error))


def _team(request: HttpRequest, pk: int) -> Team:
    found = get_object_or_404(request.user.teams_with(Permission.VIEW), pk=pk)
    require(request, Permission.MANAGE_TEAM, found)
    return found


def _membership(request: HttpRequest, pk: int) -> Membership:
    seen = Membership.objects.filter(team__in=request.user.teams_with(Permission.VIEW))
    membership = get_object_or_404(seen.select_related("user", "team"), pk=pk)
    require(request, Permission.MANAGE_TEAM, membership.team)
    return membership
