"""Passwords and codes that visitors type: checked, counted, recorded. Renders nothing."""

from __future__ import annotations

import secrets
import time

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django_otp import devices_for_user, match_token

from covetbackup.access import throttle
from covetbackup.access.addresses import client_address
from covetbackup.access.decorators import AUTHENTICATED_AT
from covetbackup.access.models import User
from covetbackup.audit.log import record
from covetbackup.audit.models import Outcome

PENDING = "pending_sign_in"
"""Session key: who gave his password and still owes the code, and since when."""

PENDING_SECONDS = 300
DEVICE_SECONDS = 180 * 86400
DEVICE_COOKIE = "__Host-covet-device" if settings.IS_HTTPS else "covet-device"


def check_password(request: HttpRequest, username: str, password: str) -> User | None:
    """Return the active user with this name and password, None if there is none.

    Takes equally long for unknown names: Django then hashes the password all the same. Raises
    `TooManyTries` without checking the password.
    """
    now = timezone.now()
    device = device_of(request, username)
    keys = throttle.keys_of("sign-in", username, client_address(request), device)
    throttle.begin(keys, now)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        _record_failure(request, "session.refused", User.objects.filter(username=username).first())
        return None
    throttle.succeed(keys, now)
    return user


def check_code(request: HttpRequest, user: User, code: str) -> bool:
    """Return whether `code` is a current one of the user's app, or an unused recovery code.

    Raises `TooManyTries`.
    """
    now = timezone.now()
    keys = throttle.keys_of("code", user.get_username(), client_address(request))
    throttle.begin(keys, now)
    device = match_token(user, code.replace(" ", ""))
    if device is None:
        _record_failure(request, "session.code-refused", user)
        return False
    throttle.succeed(keys, now)
    user.otp_device = device  # login() then notes it in the session
    return True


def has_second_factor(user: User) -> bool:
    """Return whether the user has a second factor."""
    return any(True for _ in devices_for_user(user))


def begin_session(request: HttpRequest, user: User) -> None:
    """Sign in for good: new session key, clocks started, recorded."""
    request.session.pop(PENDING, None)
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    record(request, "session.begin", subject=user)


def wait_for_code(request: HttpRequest, user: User) -> None:
    """Record in the session that the password was right and the code is missing."""
    request.session.cycle_key()
    request.session[PENDING] = {"user": user.pk, "at": int(time.time())}


def user_who_owes_a_code(request: HttpRequest) -> User | None:
    """Return the user whose password was right and whose code is missing."""
    pending = request.session.get(PENDING)
    if not pending or time.time() - pending["at"] > PENDING_SECONDS:
        return None
    return User.objects.filter(pk=pending["user"], is_active=True).first()


def confirm_again(request: HttpRequest) -> None:
    """Dangerous acts are allowed for a while. The session gets a new key, as at sign-in."""
    request.session.cycle_key()
    request.session[AUTHENTICATED_AT] = int(time.time())
    record(request, "session.confirm", subject=request.user)


def device_of(request: HttpRequest, username: str) -> str:
    """Return the id of this browser if it signed in to this account before, else ""."""
    try:
        return request.get_signed_cookie(
            DEVICE_COOKIE, salt=_device_salt(username), max_age=DEVICE_SECONDS
        )
    except (KeyError, signing.BadSignature):
        return ""


def remember_device(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Set the cookie by which this browser is recognised."""
    device = device_of(request, user.get_username()) or secrets.token_urlsafe(18)
    response.set_signed_cookie(
        DEVICE_COOKIE,
        device,
        salt=_device_salt(user.get_username()),
        max_age=DEVICE_SECONDS,
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Lax",
    )


def _device_salt(username: str) -> str:
    return f"covetbackup.device:{username.casefold()}"


def _record_failure(request: HttpRequest, action: str, user: User | None) -> None:
    # A name that is no user's is not recorded: it may be a password.
    record(request, action, subject=user, outcome=Outcome.FAILED)
