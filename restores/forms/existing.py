"""Forms of restores that replace or go into an existing database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.db.models import QuerySet

from backups.models import Backup, Server
from covetbackup.access.models import User
from covetbackup.core.databases.restore_target import RestoreFeatures
from restores.forms.selection import RestoreScope
from restores.forms.target import TargetForm
from restores.models import RETENTION_DAYS, Restore
from restores.target_server import features_of
from restores.targets import MOST_DAYS, replaceable_for


class _ExistingForm(TargetForm):
    """Base of both; suggests the database that was backed up."""

    @staticmethod
    def servers(user: User, backup: Backup) -> QuerySet[Server]:
        return replaceable_for(user, backup)

    @staticmethod
    def suggestion(backup: Backup) -> str:
        return backup.database.name


class ReplaceForm(_ExistingForm):
    """The database that `backup` replaces."""

    name = forms.CharField(
        label="Database to replace",
        max_length=255,
        help_text="Stays online until the swap, then is retained under a dated name.",
    )
    retention_days = forms.IntegerField(
        label="Days to retain the previous database",
        min_value=0,
        max_value=MOST_DAYS,
        help_text="Deleted automatically afterwards; 0 retains it until it is deleted manually.",
    )
    field_order = ("server", "name", "retention_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["retention_days"] = RETENTION_DAYS

    @staticmethod
    def can_select(backup: Backup) -> bool:
        """Return False: a selection never replaces a whole database."""
        return False

    @property
    def restore(self) -> Restore:
        restore = super().restore
        restore.retention_days = self.cleaned_data["retention_days"]
        restore.request = replace(restore.request, replace=True)
        return restore


class IntoExistingForm(_ExistingForm):
    """The existing database into which a selection of `backup` goes."""

    into = forms.CharField(
        label="Target database",
        max_length=255,
        help_text="An existing database; what it holds is not changed.",
    )
    target = "into"
    field_order = ("server", "into")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # One connection does all of it, so that it is one step.
        left_out = ["name", "jobs"]
        if not self.part.with_structure:
            left_out += ["owner", "role", "creates_roles"]
            left_out += [switch.name for switch in self._switches]
        for name in left_out:
            self.fields.pop(name, None)

    @staticmethod
    def can_select(backup: Backup) -> bool:
        return features_of(backup.database.server).into_existing and TargetForm.can_select(backup)

    @staticmethod
    def offered(features: RestoreFeatures) -> Sequence[RestoreScope]:
        tables = (
            (RestoreScope.SOME, RestoreScope.STRUCTURE) if features.tables_into_existing else ()
        )
        return (*tables, RestoreScope.DATA)

    @property
    def restore(self) -> Restore:
        restore = super().restore
        restore.request = replace(restore.request, into_existing=True)
        return restore
