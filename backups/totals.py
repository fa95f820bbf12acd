"""What a user's teams have, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from backups.models import Backup, Database, DatabaseState
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES
from covetbackup.access.models import User
from covetbackup.core.manager import PLAIN


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
    protected = Exists(Backup.objects.filter(good, database=OuterRef("pk")))
    sources = databases.aggregate(
        servers=Count("server", distinct=True),
        databases=Count("pk"),
        unprotected=Count("pk", filter=~Q(protected)),
    )
    totals = (
        _backups_of(user)
        .filter(good)
        .aggregate(
            backups=Count("database"),
            plain_bytes=Sum("plain_bytes"),
            stored_bytes=Sum("stored_bytes"),
            newest_at=Max("consistent_at"),
        )
    )
    failed = _backups_of(user).filter(state__in=FAILED_STATES, created_at__gte=since)
    return Statistics(
        **sources,
        failed_lately=failed.count(),
        backups=totals["backups"],
        plain_bytes=totals["plain_bytes"] or 0,
        stored_bytes=totals["stored_bytes"] or 0,
        newest_at=totals["newest_at"],
    )


def encryption(user: User) -> dict[str, int]:
    """How many of the restorable backups that `user` may see are encrypted ("sealed") and how many
    are not ("clear"), in one query."""
    good = _backups_of(user).filter(state__in=RESTORABLE_STATES)
    return good.aggregate(
        sealed=Count("database", filter=~Q(cipher=PLAIN)),
        clear=Count("database", filter=Q(cipher=PLAIN)),
    )


def _backups_of(user: User) -> QuerySet[Backup]:
    # By database, not joined with teams: all of it is answered by the index `backup_totals`.
    mine = Database.objects.visible_to(user).order_by().values("pk")
    return Backup.objects.filter(database__in=mine)
