"""The choice of a target: the same fields for the page that asks, the checks and the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict

from backups.models import Backup, Repository, Server
from covetbackup.access.models import User
from covetbackup.core.databases.postgresql.preflight import OwnerPolicy
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import CovetError, sentence
from restores.models import KEEP_DAYS, OWNER_CHARACTERS
from restores.picking import Item, as_selection, items_of, picked_of, selection_of
from restores.plan import (
    MOST_DAYS,
    MOST_JOBS,
    Plan,
    readable_copies,
    replaceable_for,
    suggested_name,
    targets_for,
)
from restores.targets.registry import kind_of

OWNERS = (
    (OwnerPolicy.KEEP.value, "Keep: as in the backup; the roles must exist there"),
    (OwnerPolicy.NONE.value, "None: all belongs to the role that restores, no grants"),
    (OwnerPolicy.ROLE.value, "One role: all belongs to the role named below"),
)
ALL, SOME, STRUCTURE = "all", "some", "structure"
PARTS = (
    (SOME, "Structure and data"),
    (STRUCTURE, "Structure only, without rows"),
)


class ServerField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.team})"


class TargetForm(forms.Form):
    """What of `backup` goes where. Bound to a query string or a POST; `plan` is what valid answers
    mean. Not bound, it begins with what is `given` of an earlier one."""

    what = forms.ChoiceField(
        choices=((ALL, "Everything"), *PARTS), widget=forms.HiddenInput, required=False
    )
    pick = forms.Field(widget=forms.MultipleHiddenInput, required=False)
    server = ServerField(Server.objects.none(), label="Server", empty_label=None)
    name = forms.CharField(
        label="Name of the new database",
        max_length=255,
        help_text="Nothing may be called that yet. What exists is never changed.",
    )
    repository = forms.ModelChoiceField(
        Repository.objects.none(), label="Read from", empty_label=None
    )
    owner = forms.ChoiceField(label="Owners and grants", choices=OWNERS)
    role = forms.CharField(
        label="Role that shall own all",
        max_length=OWNER_CHARACTERS,
        required=False,
        help_text="On MySQL and MariaDB: the definer of views and routines, as user@host.",
    )
    jobs = forms.IntegerField(
        label="Parallel jobs",
        min_value=1,
        max_value=MOST_JOBS,
        help_text="More than one loads tables side by side.",
    )
    creates_roles = forms.BooleanField(
        label="Create roles that are missing, as they were recorded",
        required=False,
        help_text="With their passwords, where the backup holds them. What exists stays as it is. "
        "On MySQL and MariaDB: accounts that the database needs, with their rights on it alone.",
    )

    def __init__(
        self,
        *args: Any,
        backup: Backup,
        user: User,
        given: QueryDict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._backup = backup
        source = backup.database.server
        self.fields["server"].queryset = self.servers(user, backup)
        repositories = [copy.repository for copy in readable_copies(backup)]
        rows = Repository.objects.filter(pk__in=[row.pk for row in repositories])
        self.fields["repository"].queryset = rows
        self.initial = {
            "what": ALL,
            "server": source.pk,
            "name": self.suggestion(backup),
            "repository": repositories[0].pk if repositories else None,
            "owner": OwnerPolicy.KEEP.value,
            "jobs": 1,
        }
        if len(repositories) < 2:
            self._leave_out("repository")
        if not kind_of(source).has_owners:
            for name in ("owner", "role", "jobs"):
                del self.fields[name]
        if not kind_of(source).creates_roles:
            del self.fields["creates_roles"]
        if not self.can_select(backup):
            del self.fields["what"], self.fields["pick"]
        self._begin_with(given or QueryDict())

    @staticmethod
    def can_select(backup: Backup) -> bool:
        return kind_of(backup.database.server).selects and bool(items_of(backup))

    @staticmethod
    def servers(user: User, backup: Backup) -> QuerySet[Server]:
        return targets_for(user, backup)

    @staticmethod
    def suggestion(backup: Backup) -> str:
        return suggested_name(backup, backup.database.server)

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        if role in (OwnerPolicy.KEEP, OwnerPolicy.NONE):
            raise ValidationError("There can be no such role.")
        kind = kind_of(self._backup.database.server)
        self._check("role", lambda: kind.refuse_owner(role))
        return role

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("owner") == OwnerPolicy.ROLE and not data.get("role") and not self.errors:
            self.add_error("role", "Say which role.")
        self._check(None, lambda: self.selection)
        if not self.errors:
            self._check("name", lambda: self.plan.refuse_misfit())
        return data

    @property
    def selection(self) -> Selection | None:
        data = self.cleaned_data
        if data.get("what", ALL) in (ALL, ""):
            return None
        return selection_of(self._backup, data["pick"] or [], with_data=data["what"] == SOME)

    @property
    def is_part(self) -> bool:
        """Whether less than everything is asked for, be the answer valid or not."""
        return "what" in self.fields and self["what"].value() in (SOME, STRUCTURE)

    @property
    def begun(self) -> Selection | None:
        """What is chosen so far, if less than everything is asked for."""
        if not self.is_part:
            return None
        return as_selection(self.picked, with_data=self["what"].value() == SOME)

    @property
    def picked(self) -> list[Item]:
        if "pick" not in self.fields:
            return []
        return picked_of(items_of(self._backup), self["pick"].value() or [])

    @property
    def plan(self) -> Plan:
        data = self.cleaned_data
        owner = data.get("owner") or OwnerPolicy.KEEP.value
        return Plan(
            backup=self._backup,
            repository=data["repository"],
            server=data["server"],
            name=data["name"],
            owner=data["role"] if owner == OwnerPolicy.ROLE else owner,
            jobs=data.get("jobs") or 1,
            creates_roles=data.get("creates_roles", False),
            selection=self.selection,
        )

    def _check(self, name: str | None, look: Callable[[], object]) -> None:
        """What `look` raises is said at the field `name`, or of the form as a whole."""
        try:
            look()
        except CovetError as error:
            self.add_error(name, sentence(error))

    def _begin_with(self, given: QueryDict) -> None:
        for name, field in self.fields.items():
            if name in given and not (field.widget.is_hidden and field.initial):
                self.initial[name] = field.widget.value_from_datadict(given, {}, name)

    def _leave_out(self, name: str) -> None:
        """A question with one answer is not asked."""
        field = self.fields[name]
        field.widget, field.initial = forms.HiddenInput(), self.initial[name]
        self.initial[name] = field.initial


class ReplaceForm(TargetForm):
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

    @staticmethod
    def servers(user: User, backup: Backup) -> QuerySet[Server]:
        return replaceable_for(user, backup)

    @staticmethod
    def suggestion(backup: Backup) -> str:
        return backup.database.name

    @property
    def plan(self) -> Plan:
        return replace(super().plan, replaces=True, keep_days=self.cleaned_data["keep_days"])


class PickForm(forms.Form):
    """Beside the list of what can be chosen."""

    what = forms.ChoiceField(label="What of them", choices=PARTS, widget=forms.RadioSelect)
    find = forms.CharField(label="Search by name", max_length=200, required=False, strip=False)

    def __init__(self, given: QueryDict) -> None:
        super().__init__(
            initial={
                "what": STRUCTURE if given.get("what") == STRUCTURE else SOME,
                "find": given.get("find", "")[:200],
            }
        )


class ConfirmForm(forms.Form):
    """The last word on a replacement. Whether the name is right is decided by the request."""

    typed = forms.CharField(label="Name of the database", max_length=255, strip=False)
    safety = forms.BooleanField(
        label="Take a safety backup first",
        required=False,
        initial=True,
        help_text="Nothing is replaced unless it succeeds.",
    )


class TypedForm(forms.Form):
    """The name that must be typed before what is kept is changed."""

    typed = forms.CharField(label="Name of the database", max_length=255, strip=False)
