"""The command `covetbackup jobs`: list the jobs that run, wait and have ended."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report, TextTable
from covetbackup.jobs.dispatch import queue_position
from covetbackup.jobs.models import ACTIVE_STATES, Job, JobState
from covetbackup.manual_command import ManualCommand


class Command(ManualCommand):
    manual = Manual(
        "list jobs, newest first",
        "",
        "covetbackup jobs --state active",
    )
    exits = {0: "done"}

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=[*JobState.values, "active"], help="only these")
        parser.add_argument("--limit", type=int, default=20, help="how many; default: 20")

    def handle(self, *, state: str | None, limit: int, json: bool, **_: Any) -> None:
        jobs = Job.objects.select_related("team", "requested_by", "owner").order_by("-id")
        if state:
            jobs = jobs.filter(state__in=ACTIVE_STATES if state == "active" else [state])
        rows = [_row(job) for job in jobs[:limit]]
        lines = [] if rows else ["no jobs"]
        report = Report({"jobs": rows}, lines, table=_table(rows) if rows else None)
        self.print_report(report, as_json=json)


def _row(job: Job) -> dict[str, Any]:
    place = queue_position(job)
    return {
        "id": job.pk,
        "kind": job.kind,
        "title": job.title,
        "state": job.state,
        "team": job.team.name,
        "requested_by": job.requested_by.get_username() if job.requested_by else None,
        "queue": job.queue,
        "position": place.position if place else None,
        "waits_for": place.blocked_by if place else None,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "phase": job.phase,
        "done_bytes": job.done_bytes,
        "total_bytes": job.total_bytes,
        "worker": str(job.owner) if job.owner else None,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "error": job.error or None,
        "hint": job.hint or None,
    }


def _table(rows: list[dict[str, Any]]) -> TextTable:
    cells = [(str(row["id"]), row["state"], row["kind"], _title(row)) for row in rows]
    return TextTable(("ID", "STATE", "KIND", "TITLE"), cells, numeric=frozenset({0}))


def _title(row: dict[str, Any]) -> str:
    waits = f"  (waits for {row['waits_for']})" if row["waits_for"] else ""
    return f"{row['title']}{waits}"
