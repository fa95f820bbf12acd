"""The first owner: a page that exists only while there is no user, behind a one-time link."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from covetbackup.access.authentication import begin_session
from covetbackup.access.forms import SetUpForm, posted
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.audit.log import record

SALT = "covetbackup.set-up"
LINK_SECONDS = 86400
LOCK = 0x736574
"""PostgreSQL advisory lock: two visitors with the link must not both become the first owner."""


def set_up_link(*, secret_key: str | None = None) -> str:
    """Return the address of the set-up page, valid for a day or until there is a user.

    `secret_key` is for a process that was started before the file of the key was created.
    """
    token = signing.dumps("first owner", key=secret_key, salt=SALT)
    return settings.SITE_URL.rstrip("/") + reverse("set-up", args=[token])


@require_http_methods(["GET", "POST"])
@login_not_required
@sensitive_post_parameters("password1", "password2")
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """Create the first owner."""
    if User.objects.exists() or not _is_valid(token):
        raise Http404
    form = SetUpForm(posted(request))
    if request.method == "GET" or not form.is_valid():
        status = 422 if form.errors else 200
        return render(request, "access/set_up.html", {"form": form}, status=status)
    user = create_first_owner(form)
    begin_session(request, user)
    record(request, "set-up.done", subject=user)
    return redirect("overview")


@transaction.atomic
def create_first_owner(form: SetUpForm) -> User:
    """Create the owner of the first team, who is administrator of the installation.

    Raises `Http404` if there is a user already.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    if User.objects.exists():
        raise Http404
    user = form.save(commit=False)
    user.is_staff = user.is_superuser = True
    user.save()
    team = Team.objects.order_by("pk").first()
    team = team or Team.objects.create(name=form.cleaned_data["team"])
    Membership.objects.create(user=user, team=team, role=Role.OWNER)
    return user


def _is_valid(token: str) -> bool:
    try:
        signing.loads(token, salt=SALT, max_age=LINK_SECONDS)
    except signing.BadSignature:
        return False
    return True
