"""The last word, before what is there is changed. Whether the name is right is decided by the
request."""

from __future__ import annotations

from django import forms


class ConfirmForm(forms.Form):
    """Of a database that is replaced or gets something."""

    typed = forms.CharField(label="Name of the database", max_length=255, strip=False)
    safety = forms.BooleanField(
        label="Take a safety backup first",
        required=False,
        initial=True,
        help_text="Nothing is changed unless it succeeds.",
    )


class TypedForm(forms.Form):
    """The name that must be typed before what is kept is changed."""

    typed = forms.CharField(label="Name of the database", max_length=255, strip=False)
