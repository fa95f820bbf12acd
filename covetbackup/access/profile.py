"""Pages of the user's own account: time zone, theme, email address, password, second factor."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import SetPasswordForm
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from covetbackup.access import second_factor
from covetbackup.access.authentication import check_code
from covetbackup.access.forms import CodeForm, EmailForm, ProfileForm, posted
from covetbackup.access.reauthentication import reauthenticated
from covetbackup.access.throttle import TooManyTries
from covetbackup.audit.log import record

THEME_COOKIE_SECONDS = 365 * 86400


@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show and save the profile."""
    form = ProfileForm(posted(request), instance=request.user)
    if request.method == "GET" or not form.is_valid():
        return _page(request, "access/profile.html", form)
    _save(form)
    messages.success(request, "Saved.")
    response = redirect("profile")
    # the cookie is what pages and the admin site look at, and what the button in the bar changes
    theme = form.cleaned_data["theme"]
    response.set_cookie(
        "theme", theme, THEME_COOKIE_SECONDS, secure=settings.IS_HTTPS, samesite="Lax"
    )
    return response


@require_http_methods(["GET", "POST"])
@reauthenticated
def profile_email(request: HttpRequest) -> HttpResponse:
    """Change the email address."""
    form = EmailForm(posted(request), instance=request.user)
    if request.method == "GET" or not form.is_valid():
        return _page(request, "access/profile_email.html", form)
    _save(form)
    record(request, "user.change-email", subject=request.user)
    messages.success(request, "Saved. Links to reset your password go to this address now.")
    return redirect("profile")


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("new_password1", "new_password2")
@reauthenticated
def profile_password(request: HttpRequest) -> HttpResponse:
    """Change the password.

    The old one was entered a short while ago, which `reauthenticated` ensures.
    """
    form = SetPasswordForm(request.user, posted(request))
    if request.method == "GET" or not form.is_valid():
        return _page(request, "access/profile_password.html", form)
    form.save()
    # this session gets a new key; all others carry a hash of the old password and end
    update_session_auth_hash(request, request.user)
    record(request, "user.change-password", subject=request.user)
    messages.success(request, "Your password is changed. All your other sessions have ended.")
    return redirect("profile")


@require_safe
@reauthenticated
def profile_factor(request: HttpRequest) -> HttpResponse:
    """Show the state of the second factor."""
    return _factor_page(request, CodeForm())


@require_POST
@reauthenticated
def profile_factor_begin(request: HttpRequest) -> HttpResponse:
    """Begin to set up an authenticator app."""
    second_factor.begin(request.user)
    return redirect("profile-factor")


@require_POST
@reauthenticated
def profile_factor_confirm(request: HttpRequest) -> HttpResponse:
    """Confirm the app by its first code, and show recovery codes."""
    form = CodeForm(request.POST)
    if not form.is_valid() or not second_factor.confirm(request.user, form.cleaned_data["code"]):
        form.add_error("code", "This code is not right. Is the clock of your device?")
        return _factor_page(request, form)
    record(request, "user.add-factor", subject=request.user)
    return _recovery_codes(request)


@require_POST
@reauthenticated
def profile_factor_codes(request: HttpRequest) -> HttpResponse:
    """Replace the recovery codes."""
    if not second_factor.is_on(request.user):
        return redirect("profile-factor")
    record(request, "user.new-recovery-codes", subject=request.user)
    return _recovery_codes(request)


@require_POST
@reauthenticated
def profile_factor_end(request: HttpRequest) -> HttpResponse:
    """Turn the second factor off."""
    form = CodeForm(request.POST)
    try:
        is_right = form.is_valid() and check_code(request, request.user, form.cleaned_data["code"])
    except TooManyTries as error:
        form.add_error("code", f"Too many failed tries. Try again in {error.seconds} seconds.")
        return _factor_page(request, form)
    if not is_right:
        form.add_error("code", "This code is not right.")
        return _factor_page(request, form)
    second_factor.end(request.user)
    record(request, "user.remove-factor", subject=request.user)
    messages.success(request, "Your password alone is asked for from now on.")
    return redirect("profile")


def _save(form: ModelForm) -> None:
    # Nothing else of the user: what another request has changed meanwhile would be undone.
    form.instance.save(update_fields=form.Meta.fields)


def _page(request: HttpRequest, template: str, form: Any, **context: Any) -> HttpResponse:
    return render(request, template, {"form": form} | context, status=422 if form.errors else 200)


def _factor_page(request: HttpRequest, form: CodeForm) -> HttpResponse:
    state = second_factor.state_of(request.user)
    return _page(request, "access/profile_factor.html", form, factor=state)


def _recovery_codes(request: HttpRequest) -> HttpResponse:
    codes = second_factor.new_recovery_codes(request.user)
    return render(request, "access/profile_codes.html", {"codes": codes})
