"""The first page: can everything be recovered right now? The only page above both apps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from backups.models import Backup, Database, DatabaseState
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES, BackupState
from backups.totals import Statistics, statistics
from covetbackup.access.decorators import requires
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.access.templatetags.ui import ago, bytes_text
from covetbackup.first_steps import Step, first_steps
from covetbackup.jobs import figures
from covetbackup.jobs.models import ACTIVE_STATES, Job
from covetbackup.week import Week, weeks_of

MOST_ROWS = 50
_MOST_TROUBLES = 10
_MOST_JOBS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One database: `tone` and `word` are its verdict, the worst first when sorted by `order`."""

    pk: int
    order: int
    tone: str
    picture: str
    word: str
    name: str
    server: str
    url: str
    last_good_at: datetime | None
    stored_bytes: int | None
    trouble: str
    week: Week | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything the page shows, decided. `hidden` rows, the best ones, are left out."""

    sentence: str
    title: str
    subtitle: str
    rows: list[Row]
    hidden: int
    troubles: list[Row]
    more_troubles: int
    facts: list[Fact]
    can_restore: bool
    steps: list[Step] = field(default_factory=list)


@require_safe
@requires(Permission.VIEW)
def overview(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    context = {"verdict": judge_fleet(request.user, now), "now": now} | _running(request.user)
    return render(request, "overview.html", context)


@never_cache
@require_safe
@requires(Permission.VIEW)
def overview_live(request: HttpRequest) -> HttpResponse:
    """What runs now; 204 while nothing of it moved. When a job began or ended, all of the page
    may have changed, and is loaded again."""
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
        share = figures.share_of(job)
        job.percent = None if share is None else int(100 * share)
    return {
        "jobs": jobs,
        "ids": ".".join(str(job.pk) for job in jobs),
        "version": ".".join(f"{job.pk}-{job.version}" for job in jobs),
    }


def judge_fleet(user: User, now: datetime) -> Verdict:
    """The verdict over all databases that `user` may see; few queries, whatever their number."""
    rows = sorted((_row(database) for database in _databases(user)), key=lambda row: row.order)
    unprotected = sum(1 for row in rows if row.tone == "bad")
    attention = sum(1 for row in rows if row.tone == "warn")
    troubles = [row for row in rows if row.trouble]
    return Verdict(
        sentence=_sentence(len(rows), unprotected),
        title=_title(len(troubles)),
        subtitle=_subtitle(unprotected, attention),
        rows=_with_weeks(rows[:MOST_ROWS], now),
        hidden=max(len(rows) - MOST_ROWS, 0),
        troubles=troubles[:_MOST_TROUBLES],
        more_troubles=max(len(troubles) - _MOST_TROUBLES, 0),
        facts=_facts(rows, unprotected, statistics(user)),
        can_restore=any(row.last_good_at for row in rows),
        steps=first_steps(user),
    )


def _with_weeks(rows: list[Row], now: datetime) -> list[Row]:
    weeks = weeks_of((row.pk for row in rows), now)
    return [replace(row, week=weeks[row.pk]) for row in rows]


def _databases(user: User) -> QuerySet[Database]:
    good = Backup.objects.filter(database=OuterRef("pk"), state__in=RESTORABLE_STATES)
    newest = good.order_by("-created_at")
    latest = Backup.objects.filter(database=OuterRef("pk")).order_by("-created_at", "-id")
    return (
        Database.objects.visible_to(user)
        .filter(Q(is_included=True), ~Q(state=DatabaseState.GONE))
        .select_related("server")
        .annotate(
            last_good_at=Subquery(newest.values("consistent_at")[:1]),
            last_stored=Subquery(newest.values("stored_bytes")[:1]),
            last_state=Subquery(latest.values("state")[:1]),
            last_problem=Subquery(newest.values("verify_problem")[:1]),
        )
    )


def _row(database: Database) -> Row:
    order, tone, picture, word, trouble = _judge(database)
    return Row(
        pk=database.pk,
        order=order,
        tone=tone,
        picture=picture,
        word=word,
        name=database.name,
        server=database.server.name,
        url=reverse("database", args=[database.pk]),
        last_good_at=database.last_good_at,
        stored_bytes=database.last_stored,
        trouble=trouble,
    )


def _judge(database: Database) -> tuple[int, str, str, str, str]:
    if database.last_good_at is None:
        return 0, "bad", "bad", "Not protected", "has no usable backup"
    if database.last_problem:
        trouble = f"newest backup failed its check: {database.last_problem}"
        return 1, "bad", "bad", "Damaged", trouble
    if database.last_state in FAILED_STATES:
        trouble = f"has an older backup, but the last run {_ended(database.last_state)}"
        return 2, "warn", "warn", f"Last run {database.last_state}", trouble
    if database.last_state == "degraded":
        return 3, "warn", "warn", "Copy missing", "newest backup is not in all repositories"
    return 9, "ok", "ok", "Recoverable", ""


def _ended(state: str) -> str:
    return "failed" if state == BackupState.FAILED else f"was {state}"


def _sentence(total: int, unprotected: int) -> str:
    if not total:
        return "Nothing is backed up yet"
    if not unprotected:
        return "Every database is recoverable" if total > 1 else "The database is recoverable"
    return f"{total - unprotected} of {total} databases are recoverable"


def _title(troubles: int) -> str:
    return f"{troubles} problem{'' if troubles == 1 else 's'}" if troubles else "Overview"


def _subtitle(unprotected: int, attention: int) -> str:
    parts = []
    if unprotected:
        parts.append(f"{unprotected} {'is' if unprotected == 1 else 'are'} not")
    if attention:
        parts.append(f"{attention} {'needs' if attention == 1 else 'need'} attention")
    return ", ".join(parts)


def _facts(rows: list[Row], unprotected: int, totals: Statistics) -> list[Fact]:
    return [
        Fact("Recoverable now", f"{len(rows) - unprotected} of {len(rows)}"),
        _oldest(rows),
        Fact("Backups", f"{totals.backups:,}", f"{totals.failed_lately} failed in the last day"),
        Fact("Stored", bytes_text(totals.stored_bytes), _ratio(totals.ratio)),
    ]


def _oldest(rows: list[Row]) -> Fact:
    """What would be lost if every database were lost now, and can be restored at all."""
    good = [row for row in rows if row.last_good_at]
    if not good:
        return Fact("Oldest newest backup", "–")
    worst = min(good, key=lambda row: row.last_good_at or datetime.max)
    return Fact("Oldest newest backup", ago(worst.last_good_at), worst.name)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f} times smaller"
