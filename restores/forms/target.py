"""The choice of a target: the same fields for the page that asks, the checks and the request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict

from backups.models import Backup, Repository, Server
from covetbackup.access.models import User
from covetbackup.core.databases.restore import OwnerPolicy, RestoreRequest
from covetbackup.core.databases.restore_target import RestoreFeatures, Switch
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import CovetError, sentence
from restores.forms.selection import RestoreScope
from restores.models import Restore
from restores.selection_options import (
    SelectableItem,
    as_selection,
    inventory_of,
    items_of,
    selected_items,
    selected_schemas,
    selection_of,
)
from restores.target_server import features_of
from restores.targets import (
    MOST_JOBS,
    default_jobs_of,
    readable_copies,
    suggested_name,
    targets_for,
    validate,
)

RENAMED = "as_"
"""Begins the name of the field for a schema's new name."""

_MOST_RENAMED = 10

_OWNER_CHARACTERS = 384
"""Of an account of MariaDB, 128@255; a role of PostgreSQL has 63 bytes."""


class ServerField(forms.ModelChoiceField):
    """A choice of servers, shown with their teams."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.team})"


class TargetForm(forms.Form):
    """The target of a restore of `backup`, and its options.

    It is bound to a query string or a POST; `restore` is the unsaved restore that valid answers
    request. Not bound, its initial values are those of `given`, an earlier form.
    """

    target = "name"
    what = forms.ChoiceField(choices=RestoreScope.choices, widget=forms.HiddenInput, required=False)
    pick = forms.Field(widget=forms.MultipleHiddenInput, required=False)
    server = ServerField(Server.objects.none(), label="Server", empty_label=None)
    name = forms.CharField(
        label="New database name",
        max_length=255,
        help_text="Must not exist yet. Existing databases are never changed.",
    )
    repository = forms.ModelChoiceField(
        Repository.objects.none(), label="Repository", empty_label=None
    )
    owner = forms.ChoiceField(label="Owners and privileges")
    role = forms.CharField(max_length=_OWNER_CHARACTERS, required=False)
    jobs = forms.IntegerField(
        label="Parallel jobs",
        min_value=1,
        max_value=MOST_JOBS,
        help_text="Number of tables loaded in parallel.",
    )
    creates_roles = forms.BooleanField(required=False)

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
        self._given = (self.data if self.is_bound else given) or QueryDict()
        self._schemas: list[SelectableItem] = []
        source = backup.database.server
        parts = self.offered(features_of(source))
        self.fields["server"].queryset = self.servers(user, backup)
        repositories = [copy.repository for copy in readable_copies(backup)]
        rows = Repository.objects.filter(pk__in=[row.pk for row in repositories])
        self.fields["repository"].queryset = rows
        self.initial = {
            "what": parts[0].value,
            "server": source.pk,
            self.target: self.suggestion(backup),
            "repository": repositories[0].pk if repositories else None,
            "owner": OwnerPolicy.KEEP.value,
            "jobs": default_jobs_of(backup),
        }
        if len(repositories) < 2:
            self._leave_out("repository")
        self._fit_to(features_of(source))
        if self.can_select(backup):
            self.fields["what"].choices = [(part.value, part.label) for part in parts]
            self._schemas = self._with_other_names()
            self._ask_for_new_names()
        else:
            del self.fields["what"], self.fields["pick"]
        self._begin_with(given or QueryDict())

    @staticmethod
    def can_select(backup: Backup) -> bool:
        return features_of(backup.database.server).selects and bool(items_of(backup))

    @staticmethod
    def offered(features: RestoreFeatures) -> Sequence[RestoreScope]:
        """Return the parts that can be restored, the usual first."""
        return (RestoreScope.ALL, RestoreScope.SOME, RestoreScope.STRUCTURE)

    @staticmethod
    def servers(user: User, backup: Backup) -> QuerySet[Server]:
        """Return the servers that `user` may restore `backup` to."""
        return targets_for(user, backup)

    @staticmethod
    def suggestion(backup: Backup) -> str:
        """Return the suggested name of the target database."""
        return suggested_name(backup, backup.database.server)

    def clean_role(self) -> str:
        role: str = self.cleaned_data["role"]
        features = features_of(self._backup.database.server)
        if role in (OwnerPolicy.KEEP, OwnerPolicy.NONE):
            raise ValidationError(f"There can be no such {features.owner_word}.")
        self._check("role", lambda: features.refuse_owner(role))
        return role

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("owner") == OwnerPolicy.ROLE and not data.get("role") and not self.errors:
            self.add_error(
                "role", f"Enter the owner {features_of(self._backup.database.server).owner_word}."
            )
        self._check(None, lambda: self.selection)
        if not self.errors:
            self._check(self.target, lambda: validate(self.restore))
        return data

    @property
    def part(self) -> RestoreScope:
        """The selected part, whether the answer is valid or not."""
        return RestoreScope.of(self["what"].value()) if "what" in self.fields else RestoreScope.ALL

    @property
    def selection(self) -> Selection | None:
        data = self.cleaned_data
        part = RestoreScope.of(data.get("what"))
        if part is RestoreScope.ALL:
            return None
        return selection_of(self._backup, data["pick"] or [], **self._how(part))

    @property
    def is_part(self) -> bool:
        """Whether less than everything is asked for, be the answer valid or not."""
        return self.part is not RestoreScope.ALL

    @property
    def begun(self) -> Selection | None:
        """The selection so far, None if everything is restored."""
        return as_selection(self.selected, **self._how(self.part)) if self.is_part else None

    @property
    def selected(self) -> list[SelectableItem]:
        """The selected schemas and tables."""
        if "pick" not in self.fields:
            return []
        return selected_items(items_of(self._backup), self["pick"].value() or [])

    @property
    def restore(self) -> Restore:
        """The restore that valid answers ask for; it is not saved."""
        data = self.cleaned_data
        owner = data.get("owner") or OwnerPolicy.KEEP.value
        request = RestoreRequest(
            database=data[self.target],
            selection=self.selection,
            owner=data["role"] if owner == OwnerPolicy.ROLE else owner,
            create_roles=data.get("creates_roles", False),
            jobs=data.get("jobs") or 1,
            options=tuple(switch.name for switch in self._switches if data.get(switch.name)),
        )
        return Restore(
            backup=self._backup,
            repository=data["repository"],
            target_server=data["server"],
            request=request,
        )

    @property
    def _switches(self) -> Sequence[Switch]:
        held = ("", *inventory_of(self._backup).extensions)
        offered = features_of(self._backup.database.server).switches
        return [switch for switch in offered if switch.extension in held]

    def _how(self, part: RestoreScope) -> dict[str, Any]:
        names = self.cleaned_data if hasattr(self, "cleaned_data") else self.initial
        return {
            "with_data": part.with_data,
            "with_structure": part.with_structure,
            "schemas_as": tuple(
                (item.name, names[RENAMED + item.key])
                for item in self._schemas
                if names.get(RENAMED + item.key)
            ),
        }

    def _fit_to(self, features: RestoreFeatures) -> None:
        """Ask of a server with these `features`."""
        if features.has_owners:
            word, role = features.owner_word, self.fields["role"]
            self.fields["owner"].choices = _owners(word)
            role.label, role.help_text = f"Owner {word}", features.owner_help
        else:
            for name in ("owner", "role", "jobs"):
                del self.fields[name]
        for switch in self._switches:
            self.fields[switch.name] = forms.BooleanField(
                label=switch.label, help_text=switch.help_text, required=False
            )
        if features.creates_roles is None:
            del self.fields["creates_roles"]
        else:
            field = self.fields["creates_roles"]
            field.label, field.help_text = (
                features.creates_roles.label,
                features.creates_roles.help_text,
            )

    def _with_other_names(self) -> list[SelectableItem]:
        """The schemas of what is selected, if they are few and can be renamed."""
        has_schemas = features_of(self._backup.database.server).has_schemas
        if not has_schemas or RestoreScope.of(self._given.get("what")) is RestoreScope.ALL:
            return []
        items = items_of(self._backup)
        found = selected_schemas(items, selected_items(items, self._given.getlist("pick")))
        return found if len(found) <= _MOST_RENAMED else []

    def _ask_for_new_names(self) -> None:
        for item in self._schemas:
            self.fields[RENAMED + item.key] = forms.CharField(
                label=f"Rename schema {item.name} to",
                max_length=63,
                required=False,
                help_text="Leave empty to keep its name.",
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


def _owners(word: str) -> list[tuple[str, str]]:
    return [
        (OwnerPolicy.KEEP.value, f"As in the backup; the {word}s must exist on the target"),
        (OwnerPolicy.NONE.value, "Do not restore owners and privileges"),
        (OwnerPolicy.ROLE.value, f"One owner: the {word} below owns all objects"),
    ]
