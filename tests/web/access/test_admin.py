"""The admin site: closed to most, read-only where history is, on record where it writes."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.audit.models import AuditEntry
from tests.web.conftest import ClientOf
from tests.web.factories import make_user


@pytest.fixture
def superuser() -> User:
    return make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture
def client(client_of: ClientOf, superuser: User) -> Client:
    return client_of(superuser)


def test_every_list_and_form_of_the_site_opens(client: Client) -> None:
    assert client.get("/admin/").status_code == 200
    for model, options in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 200, name
        may_add = options.has_add_permission(client.get("/admin/").wsgi_request)
        assert client.get(reverse(f"{name}_add")).status_code == (200 if may_add else 403), name


def test_staff_without_rights_see_no_users(client_of: ClientOf) -> None:
    helper = make_user("helper", is_staff=True)
    assert client_of(helper).get("/admin/access/user/").status_code == 403


def test_its_sign_in_page_is_ours(superuser: User) -> None:
    asked = Client().get("/admin/login/?next=/admin/")
    assert asked.url == "/sign-in/?next=/admin/"
    assert Client().get("/admin/access/user/").url == "/sign-in/?next=%2Fadmin%2Faccess%2Fuser%2F"


def test_users_are_never_removed(client: Client, viewer: User) -> None:
    url = reverse("admin:access_user_delete", args=[viewer.pk])
    assert client.post(url, {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=viewer.pk).exists()


def test_the_audit_log_is_only_read(client: Client, superuser: User) -> None:
    client.post("/profile/email/", {"email": "root@example.org"})
    entry = AuditEntry.objects.get()
    for act in ("change", "delete"):
        url = reverse(f"admin:audit_auditentry_{act}", args=[entry.pk])
        assert client.post(url, {"actor": "x", "post": "yes"}).status_code == 403
    assert AuditEntry.objects.get().actor == "root"


def test_what_is_changed_there_is_on_record(client: Client, viewer: User) -> None:
    fields = {"username": "vera", "email": "new@example.com", "is_active": "on", "theme": "auto"}
    url = reverse("admin:access_user_change", args=[viewer.pk])
    assert client.post(url, fields).status_code == 302
    entry = AuditEntry.objects.get(action="admin.change")
    assert (entry.actor, entry.object_name) == ("root", "vera")
    assert entry.details == {"fields": ["Email address"]}


def test_a_team_keeps_an_owner_there_too(client: Client, team: Team, owner: User) -> None:
    membership = owner.memberships.get()
    form = {
        "name": "crew",
        "memberships-TOTAL_FORMS": "1",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(membership.pk),
        "memberships-0-team": str(team.pk),
        "memberships-0-user": str(owner.pk),
        "memberships-0-role": "viewer",
    }
    url = reverse("admin:access_team_change", args=[team.pk])
    answer = client.post(url, form)
    assert "A team needs an owner" in answer.content.decode()
    assert Membership.objects.get().role == Role.OWNER


def test_secrets_of_apps_are_not_shown(client: Client, viewer: User) -> None:
    device = TOTPDevice.objects.create(user=viewer, name="App")
    page = client.get(reverse("admin:otp_totp_totpdevice_change", args=[device.pk]))
    assert device.key not in page.content.decode()
    user = client.get(reverse("admin:access_user_change", args=[viewer.pk]))
    assert viewer.password.rsplit("$")[-1] not in user.content.decode()
