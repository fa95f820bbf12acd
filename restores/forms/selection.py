"""The part of a backup, or of a selection of it, that is restored."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.db.models import TextChoices
from django.http import QueryDict


class RestoreScope(TextChoices):
    """The part to restore: all, a selection, its structure or its data only."""

    ALL = "all", "Whole database"
    SOME = "some", "Structure and data"
    STRUCTURE = "structure", "Structure only, without rows"
    DATA = "data", "Data only, into existing tables"

    @classmethod
    def of(cls, text: str | None) -> RestoreScope:
        """Return the part that `text` names, ALL for anything else."""
        return cls(text) if text in cls.values else cls.ALL

    @property
    def with_data(self) -> bool:
        """Whether rows are restored."""
        return self is not RestoreScope.STRUCTURE

    @property
    def with_structure(self) -> bool:
        """Whether tables are created."""
        return self is not RestoreScope.DATA


class PickForm(forms.Form):
    """Search and part, shown with the list of tables."""

    what = forms.ChoiceField(label="What to restore", widget=forms.RadioSelect)
    find = forms.CharField(label="Search by name", max_length=200, required=False, strip=False)

    def __init__(self, given: QueryDict, *, parts: Sequence[RestoreScope]) -> None:
        """`parts` are those offered, the default first."""
        asked = RestoreScope.of(given.get("what"))
        self.part = asked if asked in parts else parts[0]
        super().__init__(initial={"what": self.part, "find": given.get("find", "")[:200]})
        self.fields["what"].choices = [(part.value, part.label) for part in parts]
