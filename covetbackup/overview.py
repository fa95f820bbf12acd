"""The first page: can everything be recovered right now? The only page above both apps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from backups.models import Backup, Database, DatabaseState
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES, BackupState
from backups.totals import Statistics, statistics
from covetbackup.access.decorators import requires
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.access.templatetags.ui import bytes_text
from covetbackup.jobs.models import ACTIVE_STATES, Job

MOST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One database: `tone` and `word` are its verdict, the worst first when sorted by `order`."""

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


@dataclass(frozen=True, slots=True)
class Trouble:
    """One line of what needs attention."""

    tone: str
    name: str
    url: str
    text: str


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
    troubles: list[Trouble]
    facts: list[Fact]
    active_jobs: list[Job] = field(default_factory=list)


@require_safe
@requires(Permission.VIEW)
def overview(request: HttpRequest) -> HttpResponse:
    return render(request, "overview.html", {"verdict": judge_fleet(request.user)})


def judge_fleet(user: User) -> Verdict:
    """The verdict over all databases that `user` may see; few queries, whatever their number."""
    rows = sorted((_row(database) for database in _databases(user)), key=lambda row: row.order)
    unprotected = sum(1 for row in rows if row.tone == "bad")
    attention = sum(1 for row in rows if row.tone == "warn")
    return Verdict(
        sentence=_sentence(len(rows), unprotected),
        title=_title(unprotected + attention),
        subtitle=_subtitle(unprotected, attention),
        rows=rows[:MOST_ROWS],
        hidden=max(len(rows) - MOST_ROWS, 0),
        troubles=[Trouble(r.tone, r.name, r.url, r.trouble) for r in rows if r.trouble][:10],
        facts=_facts(rows, unprotected, statistics(user)),
        active_jobs=list(Job.objects.visible_to(user).filter(state__in=ACTIVE_STATES)[:10]),
    )


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


def _title(problems: int) -> str:
    if not problems:
        return "Overview"
    return "1 problem" if problems == 1 else f"{problems} problems"


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
        Fact("Backups", f"{totals.backups:,}", _ratio(totals.ratio)),
        Fact("Stored", bytes_text(totals.stored_bytes)),
        Fact("Failed in the last 24 hours", str(totals.failed_lately)),
    ]


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"ratio {ratio:.2f}"
