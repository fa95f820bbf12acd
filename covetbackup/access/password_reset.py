"""A forgotten password, by email; and a first password, by the link of an invitation.

The answer is the same, and as fast, whether there is such a user or not.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm, SetPasswordForm
from django.contrib.auth.views import (
    PasswordResetConfirmView,
    PasswordResetDoneView,
    PasswordResetView,
)
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils import timezone

from covetbackup.access import throttle
from covetbackup.access.addresses import client_address
from covetbackup.access.forms import QuietPasswordResetForm
from covetbackup.audit.log import record


class Ask(PasswordResetView):
    """The page that requests a password reset."""

    form_class = QuietPasswordResetForm
    template_name = "access/password_reset.html"
    email_template_name = "access/password_reset_mail.txt"
    subject_template_name = "access/password_reset_subject.txt"
    success_url = reverse_lazy("password-reset-sent")
    # not the Host header of the request
    extra_email_context = {"site_url": settings.SITE_URL.rstrip("/")}

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        address = client_address(self.request)
        keys = throttle.keys_of("reset", form.cleaned_data["email"], address)
        try:
            throttle.begin(keys, timezone.now())
        except throttle.TooManyTries:
            # as if it were sent
            return HttpResponseRedirect(self.get_success_url())
        return super().form_valid(form)


class Sent(PasswordResetDoneView):
    """The page after the request."""

    template_name = "access/password_reset_sent.html"


class Choose(PasswordResetConfirmView):
    """The page of the link, which sets a password."""

    template_name = "access/password_set.html"
    success_url = reverse_lazy("sign-in")

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:
        response = super().form_valid(form)
        record(self.request, "user.set-password", subject=self.user)
        return response
