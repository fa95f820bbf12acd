"""The pages of jobs: the list, one job with live progress and log, and its cancel button."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from covetbackup.access.decorators import require, requires
from covetbackup.access.roles import Permission
from covetbackup.audit.log import record
from covetbackup.core.progress import DAMAGED
from covetbackup.ignored_filters import ignored
from covetbackup.jobs import dispatch, listing, progress_stats
from covetbackup.jobs.models import ACTIVE_STATES, Job, JobEvent, JobState
from covetbackup.jobs.queue import request_cancel
from covetbackup.paging import page_of

LOG_LINES = 200
"""Of a job's log on its page: the last ones. All are in the download."""


@require_safe
@requires(Permission.VIEW)
def jobs(request: HttpRequest) -> HttpResponse:
    """Show the list of jobs."""
    chosen = listing.JobFilter.of(request.GET)
    rows = listing.jobs_of(request.user, chosen)
    page = page_of(rows, listing.ORDER, request.GET.get("cursor", ""))
    places = dispatch.queue_positions(page.rows)
    for job in page.rows:
        job.place, job.share = places.get(job.pk), progress_stats.share_of(job)
    active = Job.objects.visible_to(request.user).filter(state__in=ACTIVE_STATES)
    context = {
        "page": page,
        "chosen": chosen,
        "ignored": ignored(request.GET.dict(), () if chosen.state == "" else ("state",)),
        "states": JobState.choices,
        "counts": dict(active.order_by().values_list("state").annotate(Count("pk"))),
        "has_worker": dispatch.live_nodes().exists(),
    }
    return render(request, "jobs/jobs.html", context)


@never_cache
@require_safe
@requires(Permission.VIEW)
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a job."""
    found = _look_up(request, pk)
    context = live_context(found) | _log(found, 0) | {"attempts": found.attempts.all()}
    return render(request, "jobs/job.html", context)


@never_cache
@require_safe
@requires(Permission.VIEW)
def job_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the changing part of a job's page; 204 while the page shows the newest version."""
    if _shows_the_newest(request, pk):
        return HttpResponse(status=204)
    found = _look_up(request, pk)
    response = render(request, "jobs/_live.html", live_context(found))
    if not found.is_active:
        response["HX-Refresh"] = "true"  # heading, buttons and links of the page change too
    return response


@never_cache
@require_safe
@requires(Permission.VIEW)
def job_log(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the log.

    With `from`, the lines after that one, as a fragment; without, the whole log as text.
    """
    found = _look_up(request, pk)
    after = request.GET.get("from", "")
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        lines = (f"{one.at.isoformat()} {one.kind} {one.text}\n" for one in found.events.all())
        name = {"Content-Disposition": f'attachment; filename="job-{found.pk}.log"'}
        return HttpResponse(lines, "text/plain; charset=utf-8", headers=name)
    context = _log(found, int(after))
    if not context["lines"] and found.is_active:
        return HttpResponse(status=204)
    return render(request, "jobs/_log_more.html", context)


@require_http_methods(["GET", "POST"])
@requires(Permission.CANCEL_JOB)
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks whether it is meant."""
    found = _look_up(request, pk)
    require(request, Permission.CANCEL_JOB, found.team)
    if request.method == "GET" and found.is_active:
        return render(request, "ui/confirm.html", _cancellation(found))
    if request.method == "POST" and request_cancel(found, request.user):
        record(request, "job.cancel", team=found.team, subject=found)
        messages.success(request, "Cancelling the job. Nothing unfinished is kept.")
    else:
        messages.warning(request, "The job had ended already.")
    return redirect("job", found.pk)


def _cancellation(found: Job) -> dict[str, object]:
    done = "It has not started yet."
    if found.state == JobState.RUNNING:
        phase = found.phase or "starting"
        made = "What it made so far is removed; what it deleted stays deleted."
        done = f"It is running: {phase}. {made}"
    return {
        "question": f"Cancel “{found.title}”?",
        "consequences": (done, "A cancelled job is not tried again by itself."),
        "label": "Cancel job",
        "picture": "cancel",
        "back": reverse("job", args=[found.pk]),
        "back_title": f"Job {found.pk}",
        "cancel": "Keep job",
    }


def _look_up(request: HttpRequest, pk: int) -> Job:
    visible: QuerySet[Job] = Job.objects.visible_to(request.user)
    rows = visible.select_related("team", "owner", "requested_by", "cancel_requested_by")
    return get_object_or_404(rows, pk=pk)


def _shows_the_newest(request: HttpRequest, pk: int) -> bool:
    # Asked every second by everybody who watches: a row by its key, and whose it is told by the
    # roles that are known already, as `visible_to` would tell.
    running = Job.objects.filter(pk=pk, state=JobState.RUNNING).values_list("team", "version")
    team, version = running.first() or (0, 0)
    return request.GET.get("v") == str(version) and request.user.may(Permission.VIEW, team)


def live_context(job: Job) -> dict[str, Any]:
    """Return the context of `jobs/_live.html`, for this app's pages and others'."""
    now = timezone.now()
    is_of_a_phase = Q(kind="phase") | Q(kind="note", text__startswith=DAMAGED)
    phases = job.events.filter(is_of_a_phase, attempt=job.attempt)
    share = progress_stats.share_of(job)
    return {
        "job": job,
        "place": dispatch.queue_position(job),
        "phases": progress_stats.phases_of(job, phases, now),
        "percent": None if share is None else int(share * 100),
        "quarter": int((share or 0) * 4) * 25,
        "time_left": progress_stats.time_left(job, now),
        "elapsed": (job.finished_at or now) - job.started_at if job.started_at else None,
        "is_suspect": progress_stats.is_suspect(job, now),
        "pace": progress_stats.pace_of(job, now),
    }


def _log(job: Job, after: int) -> dict[str, Any]:
    events = JobEvent.objects.filter(job=job, pk__gt=after).order_by("-pk")
    lines = list(events[:LOG_LINES])[::-1]
    return {"job": job, "lines": lines, "last_line": lines[-1].pk if lines else after}
