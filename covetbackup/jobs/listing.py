"""The list of jobs: what it is narrowed to, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from django.db.models import QuerySet

from covetbackup.access.models import User
from covetbackup.jobs.models import ACTIVE_STATES, Job, JobState

ORDER = ("-id",)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The criteria in a page's address; invalid ones are ignored."""

    state: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        state = values.get("state", "")
        return cls(state if state in JobState.values or state == "active" else "")


def jobs_of(user: User, chosen: JobFilter) -> QuerySet[Job]:
    """Return the jobs that `user` may see and that match `chosen`.

    Fields that only the page of one job shows are deferred.
    """
    rows: QuerySet[Job] = Job.objects.listed_for(user)
    if chosen.state:
        states = ACTIVE_STATES if chosen.state == "active" else (chosen.state,)
        rows = rows.filter(state__in=states)
    return rows.select_related("team", "requested_by", "owner").defer("argument", "details")
