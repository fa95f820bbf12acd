"""Permission checks for views, and the record of the tries that they refuse."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, TypeAlias

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import urlencode

from covetbackup.access.models import Team, User
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.audit.models import Outcome

View: TypeAlias = Callable[Concatenate[HttpRequest, ...], HttpResponseBase]

AUTHENTICATED_AT = "authenticated_at"
"""Session key: when the password was last typed, in seconds since the epoch."""


def may(user: User | AnonymousUser, permission: Permission, team: Team | int) -> bool:
    """Return whether `user` has `permission` in `team` (a row or its id)."""
    team_id = team.pk if isinstance(team, Team) else team
    return isinstance(user, User) and user.may(permission, team_id)


def require(request: HttpRequest, permission: Permission, team: Team) -> None:
    """Go on if the signed-in user has `permission` in `team`, else record the try and answer 403.

    Raises `PermissionDenied`.
    """
    if not may(request.user, permission, team):
        _deny(request, permission, team)


def requires(permission: Permission) -> Callable[[View], View]:
    """Restrict a view to users who have `permission` in at least one team.

    Anonymous visitors are sent to sign in, others get 403. What the view shows or changes must
    still be looked up with `visible_to` and checked with `require`.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not isinstance(request.user, User):
                return ask_to_sign_in(request)
            if not request.user.may_anywhere(permission):
                _deny(request, permission, None)
            return view(request, *args, **kwargs)

        return checked

    return decorate


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """Redirect to the sign-in page, and back to this page afterwards."""
    if request.method == "POST" and request.path != reverse("sign-out"):
        messages.warning(request, "You are signed out, so nothing was changed. Sign in, try again.")
    return send_to(request, settings.LOGIN_URL, page_to_return_to(request))


def _deny(request: HttpRequest, permission: Permission, team: Team | None) -> None:
    path = request.path[:200]
    details = {"permission": str(permission), "path": path, "method": request.method}
    record(request, "access.denied", team=team, outcome=Outcome.DENIED, details=details)
    raise PermissionDenied(f"this needs the permission {permission}")


def page_to_return_to(request: HttpRequest) -> str:
    """Return the page the visitor is on: neither the address of a form nor a fragment is a page."""
    is_page = request.method == "GET" and "HX-Request" not in request.headers
    if is_page:
        return request.get_full_path()
    return request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")


def send_to(request: HttpRequest, page: str, back: str) -> HttpResponse:
    """Redirect to `page`, which leads on to `back`, if that is an address of this site."""
    url = f"{resolve_url(page)}?{urlencode({'next': back})}" if back else resolve_url(page)
    if "HX-Request" not in request.headers:
        return HttpResponseRedirect(url)
    # htmx would follow a redirect and put the sign-in page into a card
    return HttpResponse(status=204, headers={"HX-Redirect": url})
