"""The list of jobs: what it is narrowed to, and pages whose cost does not grow with the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from covetbackup.jobs.models import ACTIVE_STATES, Job, JobState

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a page's address asks for; nonsense counts as not given."""

    state: str = ""
    before: int | None = None
    after: int | None = None

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        state = values.get("state", "")
        return cls(
            state=state if state in JobState.values or state == "active" else "",
            before=_number(values.get("before", "")),
            after=_number(values.get("after", "")),
        )

    def url(self, **place: int) -> str:
        """The query of another page of the same choice."""
        return "?" + urlencode({"state": self.state, **place} if self.state else place)


@dataclass(frozen=True, slots=True)
class Page:
    """`older` and `newer` are links, "" where there is nothing more."""

    rows: Sequence[Job]
    older: str
    newer: str


def page_of(jobs: Any, chosen: Chosen) -> Page:
    """Newest first: those before a job's number, or those right after it."""
    wanted = jobs.select_related("team", "requested_by", "owner").defer("argument", "details")
    if chosen.state:
        states = ACTIVE_STATES if chosen.state == "active" else (chosen.state,)
        wanted = wanted.filter(state__in=states)
    if chosen.after is not None:
        rows = list(wanted.filter(pk__gt=chosen.after).order_by("pk")[: PAGE_SIZE + 1])
        has_newer, has_older = len(rows) > PAGE_SIZE, True
        rows = rows[:PAGE_SIZE][::-1]
    else:
        place = {} if chosen.before is None else {"pk__lt": chosen.before}
        rows = list(wanted.filter(**place).order_by("-pk")[: PAGE_SIZE + 1])
        has_newer, has_older = chosen.before is not None, len(rows) > PAGE_SIZE
        rows = rows[:PAGE_SIZE]
    return Page(
        rows,
        older=chosen.url(before=rows[-1].pk) if rows and has_older else "",
        newer=chosen.url(after=rows[0].pk) if rows and has_newer else "",
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
