"""The entries of the audit log that a user may see, filtered. Newest first."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from django import forms
from django.db.models import Q, QuerySet
from django.db.models.lookups import In
from django.utils import timezone

from covetbackup.access.models import Membership, User
from covetbackup.access.roles import Permission
from covetbackup.audit.actions import actions_titled
from covetbackup.audit.models import AuditEntry, Outcome
from covetbackup.paging import unindexed

ORDER = ("-sequence",)
DAY = forms.DateInput({"placeholder": "2026-12-31", "size": "10"})


class AuditFilter(forms.Form):
    """The filter of the audit log: fields may be empty, days are of the user's time zone.

    `action` matches the titles that the page shows, and the codes that entries store.
    """

    action = forms.CharField(required=False, max_length=64)
    actor = forms.CharField(required=False, max_length=150, label="User")
    subject = forms.CharField(required=False, max_length=300, label="Object")
    outcome = forms.ChoiceField(required=False, choices=[("", "Any"), *Outcome.choices])
    since = forms.DateField(required=False, label="From", widget=DAY)
    until = forms.DateField(required=False, label="To", widget=DAY)

    def apply(self, entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Return the entries that match; an invalid filter is not applied."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        if "action" in given:
            titled = Q(action__in=actions_titled(given["action"]))
            entries = entries.filter(titled | Q(action__icontains=given["action"]))
        if "actor" in given:
            entries = entries.filter(actor__icontains=given["actor"])
        if "subject" in given:
            entries = entries.filter(object_name__icontains=given["subject"])
        if "outcome" in given:
            entries = entries.filter(outcome=given["outcome"])
        if "since" in given:
            entries = entries.filter(at__gte=_start_of(given["since"]))
        if "until" in given:
            entries = entries.filter(at__lt=_start_of(given["until"] + timedelta(days=1)))
        return entries


def entries_seen_by(user: User, permission: Permission) -> QuerySet[AuditEntry]:
    """Entries of teams in which `user` has `permission`, and the sign-ins of their members.

    What belongs to no team and to no known user is for administrators of the installation.
    """
    teams = list(user.teams_with(permission).order_by().values_list("pk", flat=True))
    members = list(Membership.objects.filter(team__in=teams).values_list("user", flat=True))
    about_members = Q(user__in=members) | Q(
        object_kind="user", object_id__in=[str(pk) for pk in members]
    )
    of_no_team = Q(team=None) if user.is_superuser else Q(team=None) & about_members
    # Entries are walked through by their numbers; by teams they would be gathered and sorted.
    seen = Q(In(unindexed("team_id"), teams)) | of_no_team
    return AuditEntry.objects.filter(seen).select_related("team")


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
