"""Databases that were replaced: written down, and asked to be dropped or to be swapped back."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.http import HttpRequest
from django.utils import timezone

from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.audit.log import Actor, actor_of, record
from covetbackup.core.errors import AccessRefused, Conflict
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import enqueue
from restores.models import Restore, RetainedDatabase, RetainedState
from restores.requests import refuse_mistyped, target_lock

log = logging.getLogger(__name__)

_AT_ONCE = 100
_NOT_ASKED = "its deletion could not be requested; see the log of the worker"
_AGAIN_AFTER = timedelta(days=1)
"""When a database that could not be dropped is tried again."""


def keep(restore: Restore, name: str, identity: str, successor_identity: str) -> RetainedDatabase:
    """Record that `restore` replaced the database that is called `name` now. Idempotent."""
    now = timezone.now()
    row, _ = RetainedDatabase.objects.get_or_create(
        restore=restore,
        defaults={
            "name": name,
            "identity": identity,
            "successor_identity": successor_identity,
            "kept_at": now,
            "drop_after": drop_after(restore, now),
        },
    )
    return row


def drop_after(restore: Restore, now: datetime) -> datetime | None:
    """Return when the database that `restore` replaces is dropped, None for never."""
    return now + timedelta(days=restore.retention_days) if restore.retention_days else None


def request_drop(previous: RetainedDatabase, *, by: HttpRequest | Actor, typed: str) -> Job:
    """Drop it for good. Raises `AccessRefused`, `BadSetting` for a wrong name typed, `Conflict`."""
    refuse_mistyped(previous.name, typed)
    return _request("drop_kept", "kept.drop.request", previous, by, title=f"Delete {previous}")


def request_swap_back(previous: RetainedDatabase, *, by: HttpRequest | Actor, typed: str) -> Job:
    """Give it the place back that it had. Errors: `request_drop`."""
    restore = previous.restore
    refuse_mistyped(restore.request.database, typed)
    title = f"Revert {restore.request.database} to {previous}"
    return _request("swap_back", "kept.swap_back.request", previous, by, title=title)


def drop_due(now: datetime) -> None:
    """Request the deletion of databases whose retention ended, oldest first; part of the tick."""
    due = RetainedDatabase.objects.filter(state=RetainedState.RETAINED, drop_after__lte=now)
    rows = due.select_related("restore__target_server__team").order_by("drop_after", "pk")
    for previous in rows[:_AT_ONCE]:
        try:
            _request_due(previous)
        except OperationalError:  # the catalog is away, for the others too
            raise
        except Exception:  # of this one: the others' time is over all the same
            log.exception(
                "the deletion of retained database %s could not be requested", previous.pk
            )
            waiting = RetainedDatabase.objects.filter(pk=previous.pk, state=RetainedState.RETAINED)
            waiting.update(drop_after=now + _AGAIN_AFTER, problem=_NOT_ASKED)


def _request_due(previous: RetainedDatabase) -> None:
    with transaction.atomic():
        # Together: of many workers one finds it retained; one that dies here changes nothing.
        if _begin(previous):
            enqueue_job(
                "drop_kept",
                previous,
                None,
                title=f"Delete {previous}, retention ended",
                is_due=True,
            )
            details = {"name": previous.name, "because": "its time is over"}
            record(actor_of(None, "worker"), "kept.drop.request", **_about(previous, details))


def postpone(previous: RetainedDatabase, now: datetime, problem: str) -> None:
    """Record why a job failed, busy → retained; what was due is tried again tomorrow."""
    previous.problem, previous.state = problem, RetainedState.RETAINED
    if previous.drop_after and previous.drop_after <= now:
        previous.drop_after = now + _AGAIN_AFTER
    previous.save(update_fields=["problem", "state", "drop_after"])


def _request(
    kind: str, action: str, previous: RetainedDatabase, by: HttpRequest | Actor, *, title: str
) -> Job:
    user = by.user if isinstance(by.user, User) else None
    refuse_forbidden(user, previous)
    with transaction.atomic():
        if not _begin(previous):
            raise Conflict(
                f"{previous} is {previous.get_state_display().lower()}", "see its restore"
            )
        job = enqueue_job(kind, previous, user, title=title)
        record(by, action, **_about(previous, {"name": previous.name}))
    return job


def refuse_forbidden(user: User | None, previous: RetainedDatabase) -> None:
    """Raise `AccessRefused` unless `user` may do this now; without a user it is the system."""
    server = previous.restore.target_server
    if user is not None and not user.may(Permission.RESTORE_OVERWRITE, server.team_id):
        raise AccessRefused(
            f"{user} may not change {previous}", "ask a team member with the right to"
        )


def _begin(previous: RetainedDatabase) -> bool:
    """Change retained → busy; return False to all but one of several callers."""
    waiting = RetainedDatabase.objects.filter(pk=previous.pk, state=RetainedState.RETAINED)
    begun = bool(waiting.update(state=RetainedState.BUSY, problem=""))
    previous.refresh_from_db(fields=["state", "name", "problem", "next_name"])
    return begun


def enqueue_job(
    kind: str, previous: RetainedDatabase, user: User | None, *, title: str, is_due: bool = False
) -> Job:
    """Enqueue a job that drops or reverts a retained database."""
    server, name = previous.restore.target_server, previous.restore.request.database
    job = enqueue(
        kind,
        team=server.team,
        title=title,
        argument={"kept": previous.pk, "user": user.pk if user else None, "is_due": is_due},
        queue=server.queue,
        requested_by=user,
        lock_key=target_lock(server, name),
        server_slot=f"server:{server.pk}",
    )
    RetainedDatabase.objects.filter(pk=previous.pk).update(job=job)
    return job


def _about(previous: RetainedDatabase, details: dict[str, Any]) -> dict[str, Any]:
    return {"team": previous.restore.target_server.team, "subject": previous, "details": details}
