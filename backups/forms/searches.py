"""Filters of the lists of databases and backups."""

from __future__ import annotations

from typing import Any

from django import forms

from backups.models import Database, Repository, Server
from backups.models.backup import BackupState
from covetbackup.access.models import User

_LABELS = {BackupState.PENDING: "Running", BackupState.REMOVED: "Deleted"}


class DatabaseFilter(forms.Form):
    """The search and filters of the list of databases."""

    q = forms.CharField(label="Search", max_length=100, required=False)
    server = forms.ModelChoiceField(Server.objects.none(), required=False, empty_label="All")
    state = forms.ChoiceField(
        label="Status",
        choices=(
            ("", "Included"),
            ("new", "New"),
            ("excluded", "Excluded"),
            ("gone", "Gone"),
            ("all", "All"),
        ),
        required=False,
    )

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.fields["server"].queryset = Server.objects.visible_to(user)


class BackupSearch(forms.Form):
    """The search and filters of the list of backups."""

    q = forms.CharField(label="Search", max_length=100, required=False)
    database = forms.ModelChoiceField(Database.objects.none(), required=False, empty_label="All")
    state = forms.ChoiceField(
        label="Status",
        choices=(
            ("", "All"),
            ("restorable", "Restorable"),
            *[(state.value, _LABELS.get(state, state.label)) for state in BackupState],
        ),
        required=False,
    )
    repository = forms.ModelChoiceField(
        Repository.objects.none(), required=False, empty_label="All"
    )
    since = forms.DateField(
        label="From",
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "2026-01-31", "size": "10"}),
    )
    until = forms.DateField(
        label="To",
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "2026-12-31", "size": "10"}),
    )

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.fields["repository"].queryset = Repository.objects.visible_to(user)
        self.fields["database"].queryset = Database.objects.visible_to(user).select_related(
            "server"
        )
