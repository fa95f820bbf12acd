"""`manage.py jobs`: what runs, waits and has ended. Exit status: 0."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from covetbackup.jobs.dispatch import queue_position
from covetbackup.jobs.models import ACTIVE_STATES, Job, JobState


class Command(BaseCommand):
    help = "List jobs, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=[*JobState.values, "active"])
        parser.add_argument("--limit", type=int, default=20, help="default: 20")
        parser.add_argument("--json", action="store_true", help="one JSON document")

    def handle(self, *, state: str | None, limit: int, json: bool, **_: Any) -> None:
        jobs = Job.objects.select_related("team", "requested_by", "owner").order_by("-id")
        if state:
            jobs = jobs.filter(state__in=ACTIVE_STATES if state == "active" else [state])
        rows = [_row(job) for job in jobs[:limit]]
        self.stdout.write(_as_json(rows) if json else _as_text(rows))


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
        "waits_for": place.waits_for if place else None,
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


def _as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps({"jobs": rows}, indent=2)


def _as_text(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no jobs"
    lines = [f"{'id':>8}  {'state':<11}  {'kind':<8}  title"]
    for row in rows:
        waits = f"  (waits for {row['waits_for']})" if row["waits_for"] else ""
        lines.append(f"{row['id']:>8}  {row['state']:<11}  {row['kind']:<8}  {row['title']}{waits}")
    return "\n".join(lines)
