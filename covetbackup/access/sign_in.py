"""Pages for signing in and out, and for typing the password again before a dangerous page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from covetbackup.access.addresses import safe_next
from covetbackup.access.authentication import (
    begin_session,
    check_code,
    check_password,
    confirm_again,
    has_second_factor,
    remember_device,
    user_who_owes_a_code,
    wait_for_code,
)
from covetbackup.access.forms import CodeForm, PasswordForm, SignInForm, posted
from covetbackup.access.models import User
from covetbackup.access.reauthentication import WRONG_PASSWORD
from covetbackup.access.throttle import TooManyTries
from covetbackup.audit.log import record
from covetbackup.audit.models import Outcome

WRONG = "Incorrect user name or password."
WRONG_CODE = "Incorrect or expired code."


@require_http_methods(["GET", "POST"])
@login_not_required
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in by name and password."""
    if isinstance(request.user, User):
        return redirect(safe_next(request, "overview"))
    form = SignInForm(posted(request))
    if request.method == "GET" or not form.is_valid():
        has_no_user = not User.objects.exists()
        return _page(request, "access/sign_in.html", form, has_no_user=has_no_user)
    try:
        user = check_password(request, **form.cleaned_data)
    except TooManyTries as error:
        return _too_many(request, "access/sign_in.html", form, error)
    if user is None:
        form.add_error(None, WRONG)
        return _page(request, "access/sign_in.html", form)
    return _next_step(request, user)


@require_http_methods(["GET", "POST"])
@login_not_required
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """Complete a sign-in by a code."""
    user = user_who_owes_a_code(request)
    if user is None:
        return redirect("sign-in")
    form = CodeForm(posted(request))
    if request.method == "GET" or not form.is_valid():
        return _page(request, "access/sign_in_code.html", form)
    try:
        is_right = check_code(request, user, form.cleaned_data["code"])
    except TooManyTries as error:
        return _too_many(request, "access/sign_in_code.html", form, error)
    if not is_right:
        form.add_error("code", WRONG_CODE)
        return _page(request, "access/sign_in_code.html", form)
    return _signed_in(request, user)


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("password")
def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Ask for the password again."""
    form = PasswordForm(posted(request))
    if request.method == "GET" or not form.is_valid():
        return _page(request, "access/sign_in_again.html", form)
    try:
        user = check_password(request, request.user.get_username(), form.cleaned_data["password"])
    except TooManyTries as error:
        return _too_many(request, "access/sign_in_again.html", form, error)
    if user is None:
        form.add_error("password", WRONG_PASSWORD)
        return _page(request, "access/sign_in_again.html", form)
    confirm_again(request)
    return redirect(safe_next(request, "overview"))


@require_safe
@login_not_required
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """Answer the admin site's redirect of users who may not use it.

    A user who is signed in would be sent back there at once, for ever.
    """
    if not isinstance(request.user, User):
        return redirect(f"{resolve_url('sign-in')}?{request.GET.urlencode('/')}")
    if request.user.is_active and request.user.is_staff:
        return redirect(safe_next(request, "admin:index"))
    record(request, "access.denied", outcome=Outcome.DENIED, details={"path": "/admin/"})
    text = "It is for users with staff status, which an administrator of this installation gives."
    context = {"title": "You have no access to the admin site", "text": text}
    return render(request, "access/problem.html", context, status=403)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    record(request, "session.end", subject=request.user)
    logout(request)
    return redirect("sign-in")


def _next_step(request: HttpRequest, user: User) -> HttpResponse:
    if not has_second_factor(user):
        return _signed_in(request, user)
    wait_for_code(request, user)
    query = urlencode({"next": safe_next(request, "overview")})
    return redirect(f"{resolve_url('sign-in-code')}?{query}")


def _signed_in(request: HttpRequest, user: User) -> HttpResponse:
    begin_session(request, user)
    response = redirect(safe_next(request, "overview"))
    remember_device(request, response, user)
    return response


def _page(request: HttpRequest, template: str, form: forms.Form, **context: Any) -> HttpResponse:
    context |= {"form": form, "next": safe_next(request, "overview")}
    return render(request, template, context, status=422 if form.errors else 200)


def _too_many(
    request: HttpRequest, template: str, form: forms.Form, error: TooManyTries
) -> HttpResponse:
    form.add_error(None, f"Too many failed tries. Try again in {error.seconds} seconds.")
    response = _page(request, template, form)
    response.status_code = 429
    response.headers["Retry-After"] = str(error.seconds)
    return response
