"""Asking for the password again before a dangerous act, without losing what was sent.

A form that is sent too long after the password was typed is answered with a page that asks for it
and sends the same form again: to the same address, with a token of its own, in the same session.
Nothing of it is stored on the server, and passwords and codes are left out of that page.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from covetbackup.access.authentication import check_password, confirm_again
from covetbackup.access.decorators import AUTHENTICATED_AT, View, page_to_return_to, send_to
from covetbackup.access.forms import ConfirmPasswordForm
from covetbackup.access.throttle import TooManyTries

_OURS = "reauthentication_"
FIELD = f"{_OURS}password"
WITHHELD = f"{_OURS}withheld"
BACK = f"{_OURS}back"
WRONG_PASSWORD = "Incorrect password."
_SECRET = re.compile(r"pass|secret|code|token|credential", re.IGNORECASE)
_TYPE_AGAIN = (
    "Your password is confirmed, but nothing was changed yet: passwords and codes that you typed "
    "were not kept. Type them again."
)


def reauthenticated(view: View) -> View:
    """Restrict a view to users who entered their password within `REAUTHENTICATION_SECONDS`.

    Others are asked for it first; then the view answers as it would have. It stands below
    `requires`, which must check first.
    """

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_recent(request):
            refusal = _ask(request)
            if refusal is not None:
                return refusal
        _forget_password(request)
        return view(request, *args, **kwargs)

    return checked


def is_recent(request: HttpRequest) -> bool:
    """Return whether the password was entered a short while ago in this session."""
    age = time.time() - request.session.get(AUTHENTICATED_AT, 0)
    return 0 <= age < settings.REAUTHENTICATION_SECONDS


def _ask(request: HttpRequest) -> HttpResponse | None:
    """None once the password is confirmed."""
    if request.method != "POST" or "HX-Request" in request.headers:
        if request.method == "POST":
            messages.warning(request, "Nothing was changed. Confirm your password and try again.")
        return send_to(request, "sign-in-again", page_to_return_to(request))
    if FIELD not in request.POST:
        return _page(request, ConfirmPasswordForm())
    request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]
    return _check(request, ConfirmPasswordForm(request.POST))


def _check(request: HttpRequest, form: ConfirmPasswordForm) -> HttpResponse | None:
    if not form.is_valid():
        return _page(request, form)
    try:
        user = check_password(request, request.user.get_username(), form.cleaned_data[FIELD])
    except TooManyTries as error:
        form.add_error(None, f"Too many failed attempts. Try again in {error.seconds} seconds.")
        response = _page(request, form)
        response.status_code, response.headers["Retry-After"] = 429, str(error.seconds)
        return response
    if user is None:
        form.add_error(FIELD, WRONG_PASSWORD)
        return _page(request, form)
    confirm_again(request)
    if WITHHELD in request.POST:
        messages.warning(request, _TYPE_AGAIN)
    return None


def _page(request: HttpRequest, form: ConfirmPasswordForm) -> HttpResponse:
    back = _back(request)
    carried = [*_carried(request), (BACK, back)]
    if WITHHELD in request.POST or any(_SECRET.search(name) for name in _sent(request)):
        carried.append((WITHHELD, "1"))
    address = request.get_full_path()
    context = {"form": form, "action": address, "carried": carried, "back": back}
    status = 422 if form.errors else 200
    return render(request, "access/sign_in_again.html", context, status=status)


def _carried(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """What is sent again: no secrets, and nothing that belongs to this page."""
    for name in _sent(request):
        if not _SECRET.search(name):
            for value in request.POST.getlist(name):
                yield name, value


def _sent(request: HttpRequest) -> list[str]:
    """The names of the fields of the form that was sent at first."""
    own = [name for name in request.POST if not name.startswith(_OURS)]
    return [name for name in own if name != "csrfmiddlewaretoken"]


def _back(request: HttpRequest) -> str:
    """Where the first form was sent from, if that is an address of this site."""
    wanted = request.POST.get(BACK) or page_to_return_to(request)
    if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure()):
        return wanted
    return resolve_url("overview")


def _forget_password(request: HttpRequest) -> None:
    """The view is not shown what was typed for the page above."""
    if FIELD in request.POST:
        request.POST = request.POST.copy()
        for name in (FIELD, BACK, WITHHELD):
            request.POST.pop(name, None)
