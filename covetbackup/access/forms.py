"""Forms of signing in, profile and team."""

from __future__ import annotations

import zoneinfo

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm, PasswordResetForm, UsernameField
from django.http import HttpRequest, QueryDict

from covetbackup.access.mail import send_aside
from covetbackup.access.models import Team, User
from covetbackup.access.roles import Role

ROLES = [(role.value, role.value.capitalize()) for role in Role]


def posted(request: HttpRequest) -> QueryDict | None:
    """Return the data to bind a form to: an empty POST has mistakes, a GET has none yet."""
    return request.POST if request.method == "POST" else None


class SignInForm(forms.Form):
    """User name and password."""

    username = UsernameField(
        label="User name", widget=forms.TextInput({"autocomplete": "username", "autofocus": True})
    )
    password = forms.CharField(
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )


class CodeForm(forms.Form):
    """Six digits of the app, or a recovery code."""

    code = forms.CharField(
        max_length=32, widget=forms.TextInput({"autocomplete": "one-time-code", "autofocus": True})
    )


class PasswordForm(forms.Form):
    """The password of a user who is signed in already."""

    password = forms.CharField(
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput({"autocomplete": "current-password", "autofocus": True}),
    )


class ConfirmPasswordForm(forms.Form):
    """The password again, in a field whose name no form uses that it is added to."""

    reauthentication_password = forms.CharField(
        label="Password",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput({"autocomplete": "current-password", "autofocus": True}),
    )


class SetUpForm(BaseUserCreationForm):
    """The first owner. `team` is asked for only if there is none yet."""

    team = forms.CharField(max_length=100, initial="Default", label="Name of the team")

    class Meta:
        model = User
        fields = ("username", "email")
        labels = {"username": "User name"}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].required = True
        if Team.objects.exists():
            del self.fields["team"]


class QuietPasswordResetForm(PasswordResetForm):
    """The request for a password reset, answered equally fast whether the user exists or not."""

    email = forms.EmailField(
        label="Email address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def send_mail(self, *args: object, **kwargs: object) -> None:
        """Send the mail in the background."""
        send_aside(super().send_mail, *args, **kwargs)


class ProfileForm(forms.ModelForm):
    """Time zone and theme."""

    time_zone = forms.TypedChoiceField(required=False, label="Time zone")

    class Meta:
        model = User
        fields = ("time_zone", "theme")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(zoneinfo.available_timezones())
        self.fields["time_zone"].choices = [("", "Server default"), *((z, z) for z in zones)]


class EmailForm(forms.ModelForm):
    """The email address."""

    class Meta:
        model = User
        fields = ("email",)
        labels = {"email": "Email address"}


class InvitationForm(forms.Form):
    """The invitation of a member."""

    username = UsernameField(
        label="User name", max_length=150, validators=User._meta.get_field("username").validators
    )
    email = forms.EmailField(label="Email address")
    role = forms.ChoiceField(choices=ROLES)


class RoleForm(forms.Form):
    """The role of a member."""

    role = forms.ChoiceField(choices=ROLES)
