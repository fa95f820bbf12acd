"""The last seven days of a database in one small picture: a bar for each day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from backups.models import Backup
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES

DAYS = 7
_STEP, _HEIGHT = 10, 18
_TALL = {"good": _HEIGHT, "failed": 9, "none": 2}
_WORDS = {"good": "a good backup", "failed": "failed", "none": "no backup"}


@dataclass(frozen=True, slots=True)
class Bar:
    """Its place in the picture; days differ in height as well as in colour."""

    x: int
    y: int
    height: int
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class HistoryChart:
    """A chart of the last days; `summary` is its text."""

    bars: tuple[Bar, ...]
    summary: str


def charts_of(databases: Iterable[int], now: datetime) -> dict[int, HistoryChart]:
    """Return charts by database; days are of the visitor's time zone, the last one is today."""
    ids = list(databases)
    today = timezone.localdate(now)
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    found = _states(ids, now - timedelta(days=DAYS))
    return {pk: _chart([found.get((pk, day), "none") for day in days], days) for pk in ids}


def _states(ids: list[int], since: datetime) -> dict[tuple[int, date], str]:
    """Of each day on which something was done: one good backup outweighs failures."""
    states = (*RESTORABLE_STATES, *FAILED_STATES)
    rows = Backup.objects.filter(database__in=ids, created_at__gte=since, state__in=states)
    found: dict[tuple[int, date], str] = {}
    for pk, at, state in rows.order_by().values_list("database", "created_at", "state"):
        day = (pk, timezone.localdate(at))
        if found.get(day) != "good":
            found[day] = "failed" if state in FAILED_STATES else "good"
    return found


def _chart(states: list[str], days: list[date]) -> HistoryChart:
    bars = tuple(
        Bar(
            x=number * _STEP,
            y=_HEIGHT - _TALL[state],
            height=_TALL[state],
            state=state,
            title=f"{day:%a %-d %b}: {_WORDS[state]}",
        )
        for number, (state, day) in enumerate(zip(states, days, strict=True))
    )
    return HistoryChart(bars, _summary(states))


def _summary(states: list[str]) -> str:
    good, failed = states.count("good"), states.count("failed")
    text = f"Last {DAYS} days: a good backup on {good}"
    return f"{text}, failed on {failed}" if failed else text
