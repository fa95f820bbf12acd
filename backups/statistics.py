"""Statistics of a user's teams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.utils import timezone

from backups.models import Backup, Database, DatabaseState
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES
from covetbackup.access.models import User
from covetbackup.core.manager import PLAIN

_GOOD = Q(state__in=RESTORABLE_STATES)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of a user's teams. Bytes are those of the restorable backups."""

    servers: int
    databases: int
    backups: int
    failed_lately: int
    plain_bytes: int
    stored_bytes: int
    newest_at: datetime | None

    @property
    def ratio(self) -> float | None:
        return self.plain_bytes / self.stored_bytes if self.stored_bytes else None


def statistics(user: User, *, now: datetime | None = None) -> Statistics:
    """Counts over everything `user` may see, in three queries; "lately" is the last 24 hours."""
    since = (now or timezone.now()) - timedelta(days=1)
    failed = _backups_of(user).filter(state__in=FAILED_STATES, created_at__gte=since)
    return Statistics(**_sources(user), **_restorable(user), failed_lately=failed.count())


def encryption(user: User) -> dict[str, int]:
    """Return how many restorable backups that `user` may see are encrypted and how many are not.

    The keys are "sealed" and "clear"; it takes one query.
    """
    is_clear = Q(cipher=PLAIN)
    return (
        _backups_of(user)
        .filter(_GOOD)
        .aggregate(
            sealed=Count("database", filter=~is_clear), clear=Count("database", filter=is_clear)
        )
    )


def _sources(user: User) -> dict[str, Any]:
    databases = Database.objects.visible_to(user).filter(
        state=DatabaseState.PRESENT, is_included=True
    )
    return databases.aggregate(servers=Count("server", distinct=True), databases=Count("pk"))


def _restorable(user: User) -> dict[str, Any]:
    return (
        _backups_of(user)
        .filter(_GOOD)
        .aggregate(
            backups=Count("database"),
            plain_bytes=Sum("plain_bytes", default=0),
            stored_bytes=Sum("stored_bytes", default=0),
            newest_at=Max("consistent_at"),
        )
    )


def _backups_of(user: User) -> QuerySet[Backup]:
    # By database, not joined with teams: all of it is answered by the index `backup_totals`.
    mine = Database.objects.visible_to(user).order_by().values("pk")
    return Backup.objects.filter(database__in=mine)
