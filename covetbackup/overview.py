"""The first page: can everything be recovered right now? The only page above both apps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from backups.statistics import Statistics, statistics
from backups.verdict import Tone, Verdict
from backups.verdict_data import Tally, fleet_of, tally_of
from covetbackup.access.decorators import requires
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.access.templatetags.ui import UNKNOWN, ago, bytes_text
from covetbackup.attention import Concern, concerns_of
from covetbackup.first_steps import FirstStep, first_steps
from covetbackup.history_chart import HistoryChart, charts_of
from covetbackup.jobs import progress_stats
from covetbackup.jobs.models import ACTIVE_STATES, Job

MOST_ROWS = 50
_MOST_ISSUES = 10
_MOST_JOBS = 10
_LONGEST = "Longest time since last backup"


@dataclass(frozen=True, slots=True)
class Row:
    """One database and the verdict over it."""

    pk: int
    verdict: Verdict
    name: str
    server: str
    url: str
    last_good_at: datetime | None
    stored_bytes: int | None
    week: HistoryChart | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether the verdict is bad or a warning."""
        return self.verdict.tone in (Tone.BAD, Tone.WARN)


@dataclass(frozen=True, slots=True)
class Fact:
    """A number of the overview, with its name and a note."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything the page shows, decided. `hidden` rows, the best ones, are left out."""

    sentence: str
    title: str
    subtitle: str
    rows: list[Row]
    hidden: int
    concerns: list[Concern]
    issues: list[Row]
    more_issues: int
    facts: list[Fact]
    can_restore: bool
    steps: list[FirstStep] = field(default_factory=list)


@require_safe
@requires(Permission.VIEW)
def overview(request: HttpRequest) -> HttpResponse:
    """Show the overview."""
    now = timezone.now()
    context = {"fleet": judge_fleet(request.user, now), "now": now} | _running(request.user)
    return render(request, "overview.html", context)


@never_cache
@require_safe
@requires(Permission.VIEW)
def overview_live(request: HttpRequest) -> HttpResponse:
    """Return what runs now; 204 while it has not changed.

    When a job began or ended, all of the page may have changed, and is loaded again.
    """
    running = _running(request.user)
    if request.GET.get("v") == running["version"]:
        return HttpResponse(status=204)
    response = render(request, "_running.html", running)
    if request.GET.get("jobs") != running["ids"]:
        response["HX-Refresh"] = "true"
    return response


def _running(user: User) -> dict[str, object]:
    visible = Job.objects.visible_to(user).filter(state__in=ACTIVE_STATES)
    jobs = list(visible.defer("argument", "details")[:_MOST_JOBS])
    for job in jobs:
        share = progress_stats.share_of(job)
        job.percent = None if share is None else int(100 * share)
    return {
        "jobs": jobs,
        "ids": ".".join(str(job.pk) for job in jobs),
        "version": ".".join(f"{job.pk}-{job.version}" for job in jobs),
    }


def judge_fleet(user: User, now: datetime) -> Fleet:
    """Return the verdict on all databases that `user` may see.

    It takes few queries, whatever their number.
    """
    rows = sorted((_row(one) for one in fleet_of(user)), key=lambda row: row.verdict.order)
    tally = tally_of(row.verdict for row in rows)
    issues = [row for row in rows if row.needs_attention]
    concerns = concerns_of(user, now)
    return Fleet(
        sentence=_sentence(tally),
        title=_title(len(issues) + len(concerns)),
        subtitle=_subtitle(tally, sum(row.verdict.tone is Tone.WARN for row in rows)),
        rows=_with_weeks(rows[:MOST_ROWS], now),
        hidden=max(len(rows) - MOST_ROWS, 0),
        concerns=concerns,
        issues=issues[:_MOST_ISSUES],
        more_issues=max(len(issues) - _MOST_ISSUES, 0),
        facts=_facts(rows, tally, statistics(user)),
        can_restore=any(row.last_good_at for row in rows),
        steps=first_steps(user),
    )


def _with_weeks(rows: list[Row], now: datetime) -> list[Row]:
    weeks = charts_of((row.pk for row in rows), now)
    return [replace(row, week=weeks[row.pk]) for row in rows]


def _row(database: Any) -> Row:
    return Row(
        pk=database.pk,
        verdict=database.verdict,
        name=database.name,
        server=database.server.name,
        url=reverse("database", args=[database.pk]),
        last_good_at=database.last_good_at,
        stored_bytes=database.last_stored,
    )


def _sentence(tally: Tally) -> str:
    if not tally.total:
        return "Nothing is backed up yet"
    if not tally.lost:
        return "Every database is recoverable" if tally.total > 1 else "The database is recoverable"
    return f"{tally.total - tally.lost} of {tally.total} databases are recoverable"


def _title(issues: int) -> str:
    return f"{issues} problem{'' if issues == 1 else 's'}" if issues else "Overview"


def _subtitle(tally: Tally, attention: int) -> str:
    parts = []
    if tally.lost:
        parts.append(f"{tally.lost} {'is' if tally.lost == 1 else 'are'} not")
    if attention:
        parts.append(f"{attention} {'needs' if attention == 1 else 'need'} attention")
    if tally.uncounted:
        what = "maintenance databases and restored copies"
        parts.append(f"{tally.uncounted} not counted ({what})")
    return ", ".join(parts)


def _facts(rows: list[Row], tally: Tally, totals: Statistics) -> list[Fact]:
    return [
        Fact("Recoverable now", f"{tally.total - tally.lost} of {tally.total}"),
        _oldest(rows),
        Fact("Backups", f"{totals.backups:,}", f"{totals.failed_lately} failed in the last day"),
        Fact("Stored", bytes_text(totals.stored_bytes), _ratio(totals.ratio)),
    ]


def _oldest(rows: list[Row]) -> Fact:
    """What would be lost if every database were lost now, and can be restored at all."""
    good = [row for row in rows if row.last_good_at]
    if not good:
        return Fact(_LONGEST, UNKNOWN)
    worst = min(good, key=lambda row: row.last_good_at or datetime.max)
    return Fact(_LONGEST, ago(worst.last_good_at), worst.name)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"compression {ratio:.1f}:1"
