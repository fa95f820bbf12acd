"""Limits of sessions, one of idleness and an absolute one, both counted by the server.

The cookie's age alone would not do: it starts anew whenever the session is written.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest

from covetbackup.access.decorators import AUTHENTICATED_AT

SIGNED_IN_AT = "signed_in_at"
ACTIVE_AT = "active_at"
ACTIVITY_STEP_SECONDS = 300
"""A session is written at most this often to note activity."""


@receiver(user_logged_in)
def note_sign_in(*, request: HttpRequest, **_: Any) -> None:
    """Start the clocks. Django has just rotated the session's key."""
    now = int(time.time())
    request.session.update({SIGNED_IN_AT: now, ACTIVE_AT: now, AUTHENTICATED_AT: now})


def note_activity(request: HttpRequest, *, now: float) -> None:
    """Record that a page was requested. Fragments do not count: an open page polls for ever."""
    if "HX-Request" in request.headers:
        return
    if now - request.session.get(ACTIVE_AT, 0) >= ACTIVITY_STEP_SECONDS:
        request.session[ACTIVE_AT] = int(now)


def is_over(session: SessionBase, *, now: float) -> bool:
    """Return whether the session reached its idle or its absolute limit, or is not valid."""
    signed_in_at = session.get(SIGNED_IN_AT, 0)
    active_at = session.get(ACTIVE_AT, 0)
    return (
        now - signed_in_at >= settings.SESSION_COOKIE_AGE
        or now - active_at >= settings.SESSION_IDLE_SECONDS
    )
