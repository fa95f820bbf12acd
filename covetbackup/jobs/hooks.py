"""Completion hooks of jobs: `settings.JOB_HOOKS`.

They are called at least once: a hook that fails, or whose caller dies, is due again after a while.
So a job whose runner was killed still gets its backup row closed and its unfinished objects
removed.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from covetbackup.jobs.models import Job
from covetbackup.jobs.outage import AWAY, described

log = logging.getLogger(__name__)


def run_completion_hook(job_id: int) -> None:
    """Call the hook of an ended job, unless it has been or is being called."""
    again = timedelta(seconds=settings.JOB_SECONDS["hook_again"])
    due = Job.objects.filter(pk=job_id, hook_due_at__lte=Now())
    if not due.update(hook_due_at=Now() + again):
        return
    job = Job.objects.get(pk=job_id)
    path = settings.JOB_HOOKS.get(job.kind)
    try:
        if path:
            import_string(path)(job)
    except AWAY as error:
        log.warning("the completion hook of job %s is postponed: %s", job_id, described(error))
        connection.close()
        return
    except Exception:  # another app's code, at the edge: it stays due
        log.exception("the completion hook of job %s failed", job_id)
        return
    Job.objects.filter(pk=job_id).update(hook_due_at=None, version=F("version") + 1)


def run_due_hooks() -> None:
    """Run the completion hooks that are due, oldest first."""
    due = Job.objects.filter(hook_due_at__lte=Now()).order_by("hook_due_at")
    for job_id in list(due.values_list("pk", flat=True)[:100]):
        run_completion_hook(job_id)
