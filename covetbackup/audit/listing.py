"""What of the audit log a user sees, filtered and in pages. Newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.audit.models import AuditEntry, Outcome

PAGE_SIZE = 50
DAY = forms.DateInput({"placeholder": "2026-12-31", "size": "10"})


class AuditFilter(forms.Form):
    """All fields may be empty. Days are those of the user's time zone."""

    action = forms.CharField(required=False, max_length=64)
    actor = forms.CharField(required=False, max_length=150)
    subject = forms.CharField(required=False, max_length=300, label="Object")
    outcome = forms.ChoiceField(required=False, choices=[("", "Any"), *Outcome.choices])
    since = forms.DateField(required=False, label="From", widget=DAY)
    until = forms.DateField(required=False, label="To", widget=DAY)

    def apply(self, entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """The entries that match; all, where an answer was wrong."""
        chosen = {name: value for name, value in self.cleaned_data.items() if value}
        for field in ("action", "actor"):
            if field in chosen:
                entries = entries.filter(**{f"{field}__icontains": chosen[field]})
        if "subject" in chosen:
            entries = entries.filter(object_name__icontains=chosen["subject"])
        if "outcome" in chosen:
            entries = entries.filter(outcome=chosen["outcome"])
        if "since" in chosen:
            entries = entries.filter(at__gte=_start_of(chosen["since"]))
        if "until" in chosen:
            entries = entries.filter(at__lt=_start_of(chosen["until"] + timedelta(days=1)))
        return entries


@dataclass(frozen=True, slots=True)
class Page:
    """`older` and `newer` are query strings, "" where there is no such page."""

    entries: list[AuditEntry]
    older: str
    newer: str


def entries_seen_by(user: User, permission: Permission) -> QuerySet[AuditEntry]:
    """Entries of teams in which `user` has `permission`, and the sign-ins of their members.

    What belongs to no team and to no known user is for administrators of the installation.
    """
    teams = user.teams_with(permission)
    members = User.objects.filter(memberships__team__in=teams)
    about_members = Q(user__in=members) | Q(
        object_kind="user", object_id__in=[str(pk) for pk in members.values_list("pk", flat=True)]
    )
    seen = Q(team__in=teams) | Q(team=None) & about_members
    if user.is_superuser:
        seen |= Q(team=None)
    return AuditEntry.objects.filter(seen).select_related("team")


def page_of(entries: QuerySet[AuditEntry], request: HttpRequest) -> Page:
    """The page that `before` or `after` (a sequence) in the query string asks for.

    Pages by sequence cost the same anywhere in the log, and do not shift when entries are added.
    """
    before, after = _number(request, "before"), _number(request, "after")
    if after:
        rows = list(entries.filter(sequence__gt=after).order_by("sequence")[: PAGE_SIZE + 1])
        has_newer, has_older = len(rows) > PAGE_SIZE, True
        rows = rows[:PAGE_SIZE][::-1]
    else:
        older = entries.filter(sequence__lt=before) if before else entries
        rows = list(older.order_by("-sequence")[: PAGE_SIZE + 1])
        has_newer, has_older = bool(before), len(rows) > PAGE_SIZE
        rows = rows[:PAGE_SIZE]
    return Page(
        rows,
        _link(request, before=rows[-1].sequence) if rows and has_older else "",
        _link(request, after=rows[0].sequence) if rows and has_newer else "",
    )


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _link(request: HttpRequest, **position: int) -> str:
    kept = {k: v for k, v in request.GET.items() if v and k not in ("before", "after")}
    return f"?{urlencode(kept | position)}"


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
