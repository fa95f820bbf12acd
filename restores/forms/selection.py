"""How much of a backup is asked for, and of what is chosen how much."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.db.models import TextChoices
from django.http import QueryDict


class Part(TextChoices):
    ALL = "all", "Everything"
    SOME = "some", "Structure and data"
    STRUCTURE = "structure", "Structure only, without rows"
    DATA = "data", "Data only, for tables that are there"

    @classmethod
    def of(cls, text: str | None) -> Part:
        """Of an answer that may be none: everything."""
        return cls(text) if text in cls.values else cls.ALL

    @property
    def with_data(self) -> bool:
        return self is not Part.STRUCTURE

    @property
    def with_structure(self) -> bool:
        return self is not Part.DATA


class PickForm(forms.Form):
    """Beside the list of what can be chosen."""

    what = forms.ChoiceField(label="What of them", widget=forms.RadioSelect)
    find = forms.CharField(label="Search by name", max_length=200, required=False, strip=False)

    def __init__(self, given: QueryDict, *, parts: Sequence[Part]) -> None:
        """`parts` are what can be asked for, the usual first."""
        asked = Part.of(given.get("what"))
        self.part = asked if asked in parts else parts[0]
        super().__init__(initial={"what": self.part, "find": given.get("find", "")[:200]})
        self.fields["what"].choices = [(part.value, part.label) for part in parts]
