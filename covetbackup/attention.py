"""Problems that the overview shows above the databases: of workers, servers and restores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from backups.models import Server
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.access.templatetags.ui import ago
from covetbackup.core.capitals import capitalised
from covetbackup.jobs.models import JobState
from covetbackup.system_status.workers import worker_issues, workers
from restores.models import Restore

_FAILED = (JobState.FAILED, JobState.INTERRUPTED)
_RECENT = timedelta(days=7)
_MOST_SERVERS = 10
_MOST_RESTORES = 5
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Concern:
    """A problem that needs attention; `subject` is a link if there is a `url`.

    `tone` is "bad" for what keeps backups or restores from working, else "warn".
    """

    tone: str
    subject: str
    text: str
    url: str = ""
    action: str = ""

    @property
    def picture(self) -> str:
        """The icon."""
        return "bad" if self.tone == "bad" else "warn"


def concerns_of(user: User, now: datetime) -> list[Concern]:
    """Return all problems that `user` may see, the worst first."""
    found = [*_workers(user, now), *_servers(user), *_restores(user, now)]
    return sorted(found, key=lambda concern: concern.tone)


def _workers(user: User, now: datetime) -> Iterator[Concern]:
    may_look = user.may_anywhere(Permission.VIEW_SETTINGS)
    url = reverse("settings") if may_look else reverse("jobs")
    for issue in worker_issues(workers(now), user):
        yield Concern("bad", capitalised(issue.text), "", url, "Details")


def _servers(user: User) -> Iterator[Concern]:
    rows = Server.objects.visible_to(user).exclude(problem="")
    for row in rows.order_by("-is_unreachable", "name")[:_MOST_SERVERS]:
        tone = "bad" if row.is_unreachable else "warn"
        what = "cannot be reached" if row.is_unreachable else "needs attention"
        url = reverse("server", args=[row.pk])
        yield Concern(tone, row.name, f"{what}: {row.problem}", url, "View server")


def _restores(user: User, now: datetime) -> Iterator[Concern]:
    """Restores that failed lately and were not made good by a later one of the same target."""
    rows = Restore.objects.visible_to(user).filter(created_at__gte=now - _RECENT)
    rows = rows.select_related("job", "target_server").only(
        "request", "created_at", "job__state", "job__error", "target_server__name"
    )
    seen: set[tuple[int, str]] = set()
    shown = 0
    for row in rows.order_by("-created_at")[:_LOOKED_AT]:
        target = (row.target_server_id, row.request.database)
        if row.job is None or row.job.is_active or target in seen:
            continue
        seen.add(target)
        if row.job.state in _FAILED and shown < _MOST_RESTORES:
            shown += 1
            text = f"was not restored {ago(row.created_at)}: {row.job.error or 'interrupted'}"
            url = reverse("restore", args=[row.pk])
            yield Concern("warn", row.request.database, text, url, "View restore")
