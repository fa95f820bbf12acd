"""Teams: who is let in and by whom, and that an owner always stays."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.test import Client

from covetbackup.access import teams
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import NOT_USED_YET, TITLES, Permission, Role
from covetbackup.audit.models import AuditEntry, Outcome
from covetbackup.core.errors import Conflict
from tests.shape.tree import ROOT, project_files
from tests.web.conftest import ClientOf
from tests.web.factories import make_member

NEW = {"username": "nora", "email": "nora@example.com", "role": "operator"}


def path_in(page: bytes) -> str:
    found = re.search(re.escape(settings.SITE_URL) + r"(/password/set/[^<\s]+)", page.decode())
    assert found, "no link"
    return found[1]


def invite(client: Client, team: Team, **fields: str) -> bytes:
    return client.post(f"/team/{team.pk}/invite/", NEW | fields).content


def test_who_is_invited_chooses_a_password_and_is_in(
    client_of: ClientOf, owner: User, team: Team, client: Client
) -> None:
    path = path_in(invite(client_of(owner), team))
    form = client.get(path).url
    password = {"new_password1": "staple battery horse", "new_password2": "staple battery horse"}
    client.post(form, password)
    data = {"username": "nora", "password": "staple battery horse"}
    assert client.post("/sign-in/", data).status_code == 302
    assert User.objects.get(username="nora").roles == {team.pk: Role.OPERATOR}
    entry = AuditEntry.objects.get(action="member.invite")
    assert (entry.team, entry.user, entry.details) == (team, owner, {"role": "operator"})


def test_an_invitation_that_was_not_taken_can_be_made_again(
    client_of: ClientOf, owner: User, team: Team
) -> None:
    client = client_of(owner)
    path_in(invite(client, team))
    path_in(invite(client, team))
    assert Membership.objects.filter(user__username="nora").count() == 1


def test_an_invitation_never_makes_anybody_another_user(
    client_of: ClientOf, owner: User, stranger: User, team: Team, other_team: Team
) -> None:
    invite(client_of(owner), team)
    page = invite(client_of(stranger), other_team)
    assert b"/password/set/" not in page
    page = invite(client_of(stranger), other_team, username=owner.username)
    assert b"/password/set/" not in page


def test_who_is_in_the_team_already_is_not_invited_again(
    client_of: ClientOf, owner: User, viewer: User, team: Team
) -> None:
    answer = client_of(owner).post(
        f"/team/{team.pk}/invite/", NEW | {"username": viewer.username, "role": "owner"}
    )
    assert answer.status_code == 422
    assert viewer.roles == {team.pk: Role.VIEWER}


def test_an_owner_changes_a_role(client_of: ClientOf, owner: User, viewer: User) -> None:
    membership = viewer.memberships.get()
    client_of(owner).post(f"/team/member/{membership.pk}/role/", {"role": "admin"})
    membership.refresh_from_db()
    assert membership.role == Role.ADMIN
    details = AuditEntry.objects.get(action="member.role").details
    assert details == {"from": "viewer", "to": "admin"}


def test_who_is_removed_sees_nothing_any_more(
    client_of: ClientOf, owner: User, viewer: User
) -> None:
    theirs = client_of(viewer)
    assert theirs.get("/team/").status_code == 200
    client_of(owner).post(f"/team/member/{viewer.memberships.get().pk}/remove/")
    assert theirs.get("/team/").status_code == 403


@pytest.mark.parametrize(("act", "data"), [("role", {"role": "viewer"}), ("remove", {})])
def test_the_last_owner_stays(
    client_of: ClientOf, owner: User, act: str, data: dict[str, str]
) -> None:
    membership = owner.memberships.get()
    client = client_of(owner)
    answer = client.post(f"/team/member/{membership.pk}/{act}/", data, follow=True)
    assert "is the last owner" in answer.content.decode()
    membership.refresh_from_db()
    assert membership.role == Role.OWNER
    assert not AuditEntry.objects.filter(action__startswith="member.").exists()


def test_one_of_two_owners_may_go(owner: User, team: Team) -> None:
    second = make_member(team, Role.OWNER).memberships.get()
    teams.remove(second)
    with pytest.raises(Conflict, match="last owner"):
        teams.remove(owner.memberships.get())


def test_an_owner_who_was_switched_off_does_not_count(owner: User, team: Team) -> None:
    other = make_member(team, Role.OWNER)
    User.objects.filter(pk=other.pk).update(is_active=False)
    with pytest.raises(Conflict, match="last owner"):
        teams.change_role(owner.memberships.get(), Role.ADMIN)


def test_a_try_beyond_the_role_is_on_record(
    client_of: ClientOf, viewer: User, team: Team, stranger: User, other_team: Team
) -> None:
    client_of(viewer).post(f"/team/{team.pk}/invite/", NEW)
    entry = AuditEntry.objects.get(outcome=Outcome.DENIED)
    assert (entry.user, entry.action) == (viewer, "access.denied")
    assert entry.details["permission"] == "manage_team"
    assert entry.details["path"] == f"/team/{team.pk}/invite/"
    assert not User.objects.filter(username="nora").exists()


def test_rights_in_one_team_are_none_in_another(
    client_of: ClientOf, stranger: User, team: Team, other_team: Team
) -> None:
    Membership.objects.create(user=stranger, team=team, role=Role.VIEWER)
    answer = client_of(stranger).post(f"/team/{team.pk}/invite/", NEW)
    assert answer.status_code == 403
    assert AuditEntry.objects.get(outcome=Outcome.DENIED).team == team


def test_only_rights_that_something_asks_for_are_listed(client_of: ClientOf, owner: User) -> None:
    sources = [ROOT / name for name in project_files() if name.endswith((".py", ".html"))]
    texts = [
        one.read_text() for one in sources if one.name != "roles.py" and "tests" not in one.parts
    ]
    used = {one for one in Permission for text in texts if f"Permission.{one.name}" in text}
    assert set(Permission) - NOT_USED_YET == used
    page = client_of(owner).get("/team/").content.decode()
    for one in Permission:
        assert (TITLES[one] in page) is (one in used), one


def test_hostile_names_are_inert(client_of: ClientOf, owner: User, team: Team) -> None:
    hostile = '"><svg onload=alert(1)>'
    Team.objects.filter(pk=team.pk).update(name=hostile)
    User.objects.create(username=hostile, email="x@example.com")
    Membership.objects.create(user=User.objects.get(username=hostile), team=team, role=Role.ADMIN)
    page = client_of(owner).get("/team/").content.decode()
    assert "<svg onload" not in page
    assert "&lt;svg onload" in page
