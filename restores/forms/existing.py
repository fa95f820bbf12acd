"""Which database that is there is replaced, or gets what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.db.models import QuerySet

from backups.models import Backup, Server
from covetbackup.access.models import User
from restores.forms.selection import Part
from restores.forms.target import TargetForm
from restores.models import KEEP_DAYS
from restores.plan import MOST_DAYS, Plan, replaceable_for
from restores.targets.base import TargetKind
from restores.targets.registry import kind_of


class _ExistingForm(TargetForm):
    """Of databases that are there, at first the one that was backed up."""

    @staticmethod
    def servers(user: User, backup: Backup) -> QuerySet[Server]:
        return replaceable_for(user, backup)

    @staticmethod
    def suggestion(backup: Backup) -> str:
        return backup.database.name


class ReplaceForm(_ExistingForm):
    """Which database `backup` takes the place of."""

    name = forms.CharField(
        label="Database to be replaced",
        max_length=255,
        help_text="It serves until the copy is whole, and is kept under a dated name after it.",
    )
    keep_days = forms.IntegerField(
        label="Days to keep what is replaced",
        min_value=0,
        max_value=MOST_DAYS,
        help_text="It is dropped by itself after them; 0 keeps it until somebody drops it.",
    )
    field_order = ("server", "name", "keep_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["keep_days"] = KEEP_DAYS

    @staticmethod
    def can_select(backup: Backup) -> bool:
        """Some tables never take the place of a whole database."""
        return False

    @property
    def plan(self) -> Plan:
        return replace(super().plan, replaces=True, keep_days=self.cleaned_data["keep_days"])


class AddForm(_ExistingForm):
    """Into which database what is chosen of `backup` goes."""

    into = forms.CharField(
        label="Database that gets it",
        max_length=255,
        help_text="It is there, and all that it holds stays as it is.",
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
        can_add = kind_of(backup.database.server).adding is not None
        return can_add and TargetForm.can_select(backup)

    @staticmethod
    def offered(kind: TargetKind) -> Sequence[Part]:
        makes_tables = kind.adding is not None and kind.adding.makes_tables
        return (Part.SOME, Part.STRUCTURE, Part.DATA) if makes_tables else (Part.DATA,)

    @property
    def plan(self) -> Plan:
        return replace(super().plan, adds=True)
