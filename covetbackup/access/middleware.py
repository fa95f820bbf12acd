"""Every page needs a signed-in user unless it says otherwise, and sessions end."""

from __future__ import annotations

import time
import zoneinfo
from collections.abc import Callable
from typing import Any

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from covetbackup.access.decorators import ask_to_sign_in
from covetbackup.access.models import User
from covetbackup.access.sessions import is_over, note_activity


class SignedIn:
    """Signs out sessions that are over, sets the user's time zone, and guards every view.

    A view is open to anonymous visitors only when it is marked with Django's
    `login_not_required`: a new view that forgets its decorator is closed, not open.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if not isinstance(user, User):
            return self.get_response(request)
        if is_over(request.session, now=time.time()):
            logout(request)
            return self.get_response(request)
        note_activity(request, now=time.time())
        with timezone.override(zone_of(user)):
            return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        _args: tuple[Any, ...],
        _kwargs: dict[str, Any],
    ) -> HttpResponse | None:
        """Redirect anonymous visitors to the sign-in page, unless the view is public."""
        if isinstance(request.user, User) or not getattr(view, "login_required", True):
            return None
        return ask_to_sign_in(request)


def zone_of(user: User) -> zoneinfo.ZoneInfo | None:
    """Return the user's time zone; None, the installation's, if unset or no longer known."""
    try:
        return zoneinfo.ZoneInfo(user.time_zone) if user.time_zone else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None
