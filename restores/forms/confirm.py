"""Confirmation of what changes an existing database. The request checks the typed name."""

from __future__ import annotations

from django import forms


class ConfirmForm(forms.Form):
    """Confirmation of a replacement or of a restore into an existing database."""

    typed = forms.CharField(label="Database name", max_length=255, strip=False)
    safety = forms.BooleanField(
        label="Take a safety backup first",
        required=False,
        initial=True,
        help_text="Nothing is changed unless it succeeds.",
    )


class TypedForm(forms.Form):
    """Confirmation of a change of a retained database, by its name."""

    typed = forms.CharField(label="Database name", max_length=255, strip=False)
