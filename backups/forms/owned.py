"""Forms for rows that belong to a team."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from covetbackup.access.models import Team, User
from covetbackup.access.roles import Permission


class TeamForm(forms.ModelForm):
    """A form of a row with a team: selected among the user's when added, fixed afterwards."""

    permission: ClassVar[Permission]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = user.teams_with(self.permission)
        field = self.fields["team"] = forms.ModelChoiceField(teams, empty_label=None)
        if self.instance.pk:
            field.queryset = Team.objects.filter(pk=self.instance.team_id)
            field.disabled, field.initial = True, self.instance.team_id
        only = list(field.queryset[:2])
        if len(only) == 1:
            field.initial, field.widget = only[0].pk, forms.HiddenInput()
            field.widget.is_required = True
