"""Lists of backups: what a page or a command filters them by, and in which order they come.

Every list is either the backups of a few databases, gathered by the index of each, or a walk along
the index of its order, which holds all that decides whether a backup is in the list: 200 000
entries are walked in 60 ms at the worst, and a page's fifty rows are all that is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from backups.models import Backup, BackupCopy, BackupState, Database
from backups.models.backup import RESTORABLE_STATES
from backups.search import Sources, matching, tagged
from covetbackup.access.models import User

PARAMETERS = (
    *("q", "state", "server", "database", "repository", "since", "until", "tag"),
    *("pinned", "unverified", "order"),
)
"""What `BackupFilter.of` reads."""

RESTORABLE = "restorable"
"""What a list may ask for as if it were a state: all states that can be restored from."""

ORDERS: dict[str, tuple[str, ...]] = {
    "newest": ("-created_at", "-id"),
    "oldest": ("created_at", "id"),
    "largest": ("-stored_bytes", "-id"),
    "smallest": ("stored_bytes", "id"),
}
"""The ways to sort backups; each ends in a unique field."""

HEAVY = ("inventory", "phases", "warnings", "error", "hint")
"""Fields that only the page of one backup shows."""

_CLOCKS_DIFFER = timedelta(days=1)
"""At the most, those of web server and workers, whose times are compared."""


@dataclass(frozen=True, slots=True)
class BackupFilter:
    """The criteria of a list of backups; the defaults show all but the removed ones."""

    search: str = ""
    state: str = ""
    server: int | None = None
    database: int | None = None
    repository: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    tag: str = ""
    pinned: bool = False
    unverified: bool = False
    order: str = "newest"

    @classmethod
    def of(cls, values: Mapping[str, str]) -> BackupFilter:
        """Return the criteria in the parameters of a page's address.

        Invalid values are ignored, and named by `wrong`: an edited link shows a list, not an error.
        """
        state, order = values.get("state", ""), values.get("order", "")
        return cls(
            search=values.get("q", "").replace("\0", "").strip()[:200],
            state=state if state in (*BackupState.values, RESTORABLE) else "",
            server=_number(values.get("server", "")),
            database=_number(values.get("database", "")),
            repository=_number(values.get("repository", "")),
            since=_moment(values.get("since", ""), end_of_day=False),
            until=_moment(values.get("until", ""), end_of_day=True),
            tag=values.get("tag", "").replace("\0", "")[:100],
            pinned=bool(values.get("pinned")),
            unverified=bool(values.get("unverified")),
            order=order if order in ORDERS else "newest",
        )

    def wrong(self, values: Mapping[str, str]) -> list[str]:
        """Return the names of parameters whose values `of` ignores."""
        numbers = [n for n in ("server", "database", "repository") if getattr(self, n) is None]
        moments = [name for name in ("since", "until") if getattr(self, name) is None]
        texts = [name for name in ("state", "order") if getattr(self, name) != values.get(name)]
        return [name for name in (*numbers, *moments, *texts) if values.get(name)]

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out: tells "no backups" from "none that match"."""
        return self != BackupFilter(order=self.order)


def backups_of(user: User, chosen: BackupFilter) -> QuerySet[Backup]:
    """Return the backups that `user` may see and that match `chosen`; see `backups_in`."""
    return backups_in(Database.objects.visible_to(user), chosen)


def backups_in(databases: QuerySet[Database], chosen: BackupFilter) -> QuerySet[Backup]:
    """Return the backups of `databases` that match `chosen`, in its order.

    Heavy fields are deferred. It queries the databases' names at once, and what a search finds.
    """
    exact = {"server": chosen.server, "pk": chosen.database}
    databases = databases.filter(**{k: v for k, v in exact.items() if v is not None})
    sources = Sources.of(databases)
    rows = Backup.objects.filter(sources.backups(), _conditions(chosen))
    wanted = matching(rows, chosen.search, sources).order_by(*ORDERS[chosen.order])
    return wanted.select_related("database__server", "job").defer(*HEAVY)


def _conditions(chosen: BackupFilter) -> Q:
    exact = {
        "created_at__gte": chosen.since,
        "created_at__lte": chosen.until,
        "is_pinned": chosen.pinned or None,
        "verified_at__isnull": chosen.unverified or None,
    }
    wanted = _in_state(chosen.state)
    wanted &= Q(**{name: value for name, value in exact.items() if value is not None})
    if chosen.repository is not None:
        wanted &= _stored_in(chosen.repository)
    return wanted & tagged(chosen.tag) if chosen.tag else wanted


def _stored_in(repository: int) -> Q:
    copies = BackupCopy.objects.filter(repository=repository)
    stored = copies.aggregate(at=Max("stored_at"))["at"]
    unfinished = copies.filter(stored_at=None).aggregate(at=Max("backup__created_at"))["at"]
    newest = max(filter(None, (stored, unfinished)), default=None)
    if newest is None:
        return Q(pk__in=())
    # No backup was asked for after it was stored, so that the list of a repository that is used
    # no longer begins there, and not with all that went elsewhere since.
    here = Exists(copies.filter(backup=OuterRef("pk")))
    return Q(here) & Q(created_at__lte=newest + _CLOCKS_DIFFER)


def _in_state(state: str) -> Q:
    if state == RESTORABLE:
        # Not "in these two": for that nearly all backups would be fetched by state, then sorted.
        return ~Q(state__in=[other for other in BackupState if other not in RESTORABLE_STATES])
    return Q(state=state) if state else ~Q(state=BackupState.REMOVED)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _moment(text: str, *, end_of_day: bool) -> datetime | None:
    try:
        moment = parse_datetime(text) if len(text) > 10 else None
        day: date | None = parse_date(text) if moment is None else None
    except ValueError:
        return None
    if day is not None:
        moment = datetime.combine(day, time(), UTC)
        if end_of_day:
            moment += timedelta(days=1, microseconds=-1)
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment
