"""What a user's teams have, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from backups.models import Backup, Database, DatabaseState
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES
from covetbackup.access.models import User


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a user's teams have. Bytes are those of the restorable backups."""

    servers: int
    databases: int
    unprotected: int
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
    databases = Database.objects.visible_to(user).filter(
        state=DatabaseState.PRESENT, is_included=True
    )
    good = Q(state__in=RESTORABLE_STATES)
    protected = Backup.objects.filter(good).values("database")
    sources = databases.aggregate(
        servers=Count("server", distinct=True),
        databases=Count("pk"),
        unprotected=Count("pk", filter=~Q(pk__in=protected)),
    )
    # By database, not joined with teams: all of it is answered by the index `backup_totals`.
    mine = Q(database__in=Database.objects.visible_to(user).order_by().values("pk"))
    totals = Backup.objects.filter(good, mine).aggregate(
        backups=Count("database"),
        plain_bytes=Sum("plain_bytes"),
        stored_bytes=Sum("stored_bytes"),
        newest_at=Max("consistent_at"),
    )
    failed = Backup.objects.filter(mine, state__in=FAILED_STATES, created_at__gte=since)
    return Statistics(
        **sources,
        failed_lately=failed.count(),
        backups=totals["backups"],
        plain_bytes=totals["plain_bytes"] or 0,
        stored_bytes=totals["stored_bytes"] or 0,
        newest_at=totals["newest_at"],
    )
