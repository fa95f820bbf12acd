"""A dangerous act asks for the password, and goes on with what was sent."""

from __future__ import annotations

import html
import re
import time

import pytest
from django.test import Client
from django.urls import reverse

from backups.models import Backup
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.reauthentication import BACK, FIELD, WITHHELD
from covetbackup.access.roles import Role
from covetbackup.audit.models import AuditEntry
from tests.web.conftest import ClientOf
from tests.web.factories import (
    PASSWORD,
    make_backup_row,
    make_database,
    make_member,
    make_repository_row,
    make_server,
)


@pytest.fixture
def leaver(team: Team) -> Membership:
    return make_member(team, Role.VIEWER, "leaver").memberships.get()


def grow_old(client: Client) -> None:
    session = client.session
    session["authenticated_at"] = int(time.time()) - 601
    session.save()


def fields_of(page: str) -> list[tuple[str, str]]:
    """The hidden fields, but the token."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return [(name, html.unescape(value)) for name, value in found if "csrf" not in name]


def asked(client: Client, address: str, data: dict[str, object]) -> dict[str, object]:
    """What the page that asks for the password sends again."""
    grow_old(client)
    answer = client.post(address, data, HTTP_REFERER="http://testserver/team/")
    page = answer.content.decode()
    assert "Confirm your password" in page and f'action="{address}"' in page
    again: dict[str, object] = {}
    for name, value in fields_of(page):
        again[name] = [*again.get(name, []), value]  # type: ignore[misc]
    return again


def test_removing_a_member_goes_on_after_the_password(
    client_of: ClientOf, owner: User, leaver: Membership
) -> None:
    client = client_of(owner)
    address = reverse("team-remove", args=[leaver.pk])
    again = asked(client, address, {})
    assert Membership.objects.filter(pk=leaver.pk).exists()
    key = client.session.session_key

    answer = client.post(address, again | {FIELD: PASSWORD})

    assert answer.url == reverse("team") and not Membership.objects.filter(pk=leaver.pk).exists()
    assert client.session.session_key != key
    acts = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"session.confirm", "member.remove"} <= acts


def test_a_wrong_password_does_nothing_and_keeps_the_form(
    client_of: ClientOf, owner: User, leaver: Membership
) -> None:
    client = client_of(owner)
    address = reverse("team-role", args=[leaver.pk])
    again = asked(client, address, {"role": "admin"})
    refused = client.post(address, again | {FIELD: "wrong"})
    assert refused.status_code == 422
    assert dict(fields_of(refused.content.decode())) == {
        "role": "admin",
        BACK: "http://testserver/team/",
    }
    leaver.refresh_from_db()
    assert leaver.role == Role.VIEWER
    client.post(address, again | {FIELD: PASSWORD})
    leaver.refresh_from_db()
    assert leaver.role == Role.ADMIN


def test_fields_with_several_values_are_sent_again_as_they_were(
    client_of: ClientOf, admin: User, team: Team
) -> None:
    hostile = '"><svg onload=alert(1)>'
    backup = make_backup_row(make_database(make_server(team)), repository=make_repository_row(team))
    address = reverse("backup-delete", args=[backup.pk])
    again = asked(client_of(admin), address, {"name": hostile, "many": ["a", "b"]})
    assert again == {"name": [hostile], "many": ["a", "b"], BACK: ["http://testserver/team/"]}
    assert Backup.objects.get().state == "available"


def test_passwords_and_codes_are_not_carried_and_that_is_said(
    client_of: ClientOf, viewer: User
) -> None:
    client, address = client_of(viewer), reverse("profile-password")
    typed = {"new_password1": "a canary phrase", "new_password2": "a canary phrase"}
    again = asked(client, address, typed)
    assert again == {BACK: ["http://testserver/team/"], WITHHELD: ["1"]}
    answer = client.post(address, again | {FIELD: PASSWORD})
    page = answer.content.decode()
    assert answer.status_code == 422 and "nothing was changed yet" in page
    assert "canary" not in page and PASSWORD not in page
    assert "canary" not in str(dict(client.session))
    viewer.refresh_from_db()
    assert viewer.check_password(PASSWORD)


def test_what_is_carried_proves_nothing_for_another_user_or_without_token(
    client_of: ClientOf, owner: User, admin: User, leaver: Membership
) -> None:
    address = reverse("team-remove", args=[leaver.pk])
    again = asked(client_of(owner), address, {})
    assert client_of(admin).post(address, again | {FIELD: PASSWORD}).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    grow_old(strict)
    assert strict.post(address, again | {FIELD: PASSWORD}).status_code == 403
    assert Membership.objects.filter(pk=leaver.pk).exists()


def test_guessing_is_slowed_down_there_too(
    client_of: ClientOf, owner: User, leaver: Membership
) -> None:
    client, address = client_of(owner), reverse("team-remove", args=[leaver.pk])
    grow_old(client)
    codes = [client.post(address, {FIELD: "wrong"}).status_code for _ in range(7)]
    assert codes[:5] == [422] * 5 and codes[5] == 429


@pytest.mark.parametrize("referer", ["https://evil.example/", "javascript:alert(1)", ""])
def test_the_way_back_leads_to_no_other_site(
    client_of: ClientOf, owner: User, leaver: Membership, referer: str
) -> None:
    client = client_of(owner)
    grow_old(client)
    address = reverse("team-remove", args=[leaver.pk])
    page = client.post(address, HTTP_REFERER=referer).content.decode()
    assert 'href="/">Cancel' in page and "evil" not in page and "alert" not in page


def test_a_form_sent_after_the_session_ended_says_that_nothing_was_done(
    client: Client, leaver: Membership
) -> None:
    address = reverse("team-remove", args=[leaver.pk])
    page = client.post(address, follow=True).content.decode()
    assert "nothing was changed" in page and "Sign in" in page
    assert (
        "nothing was changed" not in client.post(reverse("sign-out"), follow=True).content.decode()
    )


@pytest.mark.parametrize("role", list(Role))
def test_the_admin_site_refuses_whoever_is_no_staff_with_a_page(
    client_of: ClientOf, team: Team, role: Role
) -> None:
    answer = client_of(make_member(team, role)).get("/admin/", follow=True)
    assert answer.status_code == 403 and "no access to the admin site" in answer.content.decode()
    assert len(answer.redirect_chain) == 1
    assert AuditEntry.objects.filter(action="access.denied").exists()
