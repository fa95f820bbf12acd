"""Jobs that drop a retained database or swap it back, and what is done when they end.

Both check first that the database they find is the retained one: a name can be given to another.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from backups.discovery import discover
from backups.engine_factory import server_engine
from backups.timeout import run_with_timeout
from covetbackup.access.models import User
from covetbackup.audit.log import actor_of, record
from covetbackup.audit.models import Outcome
from covetbackup.core.databases.restore_target import Replacement
from covetbackup.core.errors import AccessRefused, Conflict, CovetError, DatabaseUnavailable
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, with_patience
from covetbackup.jobs.work import Work
from restores.models import RetainedDatabase, RetainedState
from restores.retained import drop_after, postpone, refuse_forbidden
from restores.target_server import refuse_own_catalog

_LOOK_SECONDS = 30.0


def run_drop(work: Work) -> None:
    """Drop a retained database; one that is gone already is recorded as that.

    Raises `Conflict` when the name belongs to something else now, or when its time is over but
    what took its place is not there any more: then it may be the only one left.
    """
    previous = _found(work)
    replacement = _replacement(previous)
    identity = replacement.identity(previous.name)
    if identity is None:
        _end(previous, RetainedState.GONE, work.job)
        return
    _refuse_other(previous.name, identity, previous.identity)
    if (
        work.argument["is_due"]
        and replacement.find_by_identity(previous.successor_identity) is None
    ):
        raise Conflict(
            f"what replaced {previous.name} is not there any more, so it is not dropped by itself",
            "look into both, and drop it by hand if it may go",
        )
    refuse_own_catalog(previous.restore.target_server, previous.name)
    work.progress.phase(f"dropping {previous.name}")
    work.confirm()
    replacement.drop(previous.name)
    _end(previous, RetainedState.DROPPED, work.job)
    _tell_catalog(work, previous)


def run_swap_back(work: Work) -> None:
    """Revert a replacement: swap the retained database and its successor. Raises `Conflict`."""
    previous = _found(work)
    if previous.next_name and _was_swapped(previous):
        work.progress.note("the attempt before this one had finished")
        _swapped(previous, work.job)
        return
    replacement, target = _replacement(previous), previous.restore.request.database
    _refuse_other(previous.name, replacement.identity(previous.name), previous.identity)
    _refuse_other(target, replacement.identity(target), previous.successor_identity)
    refuse_own_catalog(previous.restore.target_server, target)
    replacement.refuse_irreplaceable(target)
    previous.next_name = replacement.free_name(target, timezone.now())
    with_patience(lambda: previous.save(update_fields=["next_name"]))
    work.progress.phase(f"swapping {previous.name} and {target}")
    work.confirm()
    lost = replacement.swap(target, previous.name, previous.next_name)
    _swapped(previous, work.job)
    for line in lost:
        work.progress.note(line)
    _tell_catalog(work, previous)


def drop_ended(job: Job) -> None:
    """After the last attempt. May be called again; reaches the server, for half a minute."""
    previous = _of(job)
    if previous is None or previous.state != RetainedState.BUSY:
        return
    try:
        identity = _ask(previous, lambda: _replacement(previous).identity(previous.name))
    except CovetError as error:
        postpone(previous, timezone.now(), f"{_failure(job)}; {error}")
        return
    if identity is None and job.started_at is not None:
        _end(previous, RetainedState.DROPPED, job)
    else:
        _failed(previous, job, "kept.drop")


def swap_back_ended(job: Job) -> None:
    """Record the result of a revert that ended without success."""
    previous = _of(job)
    if previous is None or previous.state != RetainedState.BUSY:
        return
    if previous.next_name and _was_swapped(previous):
        _swapped(previous, job)
    else:
        _failed(previous, job, "kept.swap_back")


def _found(work: Work) -> RetainedDatabase:
    rows = RetainedDatabase.objects.select_related("restore__target_server__team")
    previous = rows.get(pk=work.argument["kept"])
    user_id = work.argument.get("user")
    if user_id is not None:
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise AccessRefused("the user who requested this was deleted")
        refuse_forbidden(user, previous)
    return previous


def _of(job: Job) -> RetainedDatabase | None:
    rows = RetainedDatabase.objects.select_related("restore__target_server__team")
    return rows.filter(pk=job.argument["kept"], job=job).first()


def _replacement(previous: RetainedDatabase) -> Replacement:
    return server_engine(previous.restore.target_server).replacement()


def _refuse_other(name: str, identity: str | None, expected: str) -> None:
    """What is not known ("") is never the same."""
    if not identity or identity != expected:
        what = "is not there any more" if identity is None else _different(identity, expected)
        raise Conflict(f"{name} {what}, so nothing was done", "look into the server by hand")


def _different(identity: str, expected: str) -> str:
    return "is another database now" if identity and expected else "may be another database now"


def _ask(previous: RetainedDatabase, look: Any) -> Any:
    late = DatabaseUnavailable(
        f"{previous.restore.target_server} did not answer within {_LOOK_SECONDS:.0f} s"
    )
    return run_with_timeout(_LOOK_SECONDS, look, late=late)


def _was_swapped(previous: RetainedDatabase) -> bool:
    """Raises `CovetError` when the server does not answer, to be called again."""
    target, next_name = previous.restore.request.database, previous.next_name
    return bool(_ask(previous, lambda: _replacement(previous).was_swapped(target, next_name)))


def _end(previous: RetainedDatabase, state: RetainedState, job: Job) -> None:
    previous.state, previous.ended_at, previous.ended_by = state, timezone.now(), job.requested_by
    details = {"name": previous.name, "state": state.value}
    with_patience(lambda: _save_done(previous, "kept.drop", job, details))


def _swapped(previous: RetainedDatabase, job: Job) -> None:
    now, before = timezone.now(), previous.name
    previous.name, previous.next_name = previous.next_name, ""
    previous.identity, previous.successor_identity = previous.successor_identity, previous.identity
    previous.is_original = not previous.is_original
    previous.state, previous.kept_at, previous.drop_after = (
        RetainedState.RETAINED,
        now,
        drop_after(previous.restore, now),
    )
    details = {"back": before, "kept": previous.name}
    with_patience(lambda: _save_done(previous, "kept.swap_back", job, details))


def _save_done(previous: RetainedDatabase, action: str, job: Job, details: dict[str, Any]) -> None:
    with transaction.atomic():
        if not RetainedDatabase.objects.filter(pk=previous.pk, state=RetainedState.BUSY).exists():
            return  # the answer to an earlier commit was lost
        previous.save()
        _audit(previous, action, job, Outcome.DONE, details)


def _failed(previous: RetainedDatabase, job: Job, action: str) -> None:
    with transaction.atomic():
        previous.next_name = ""
        previous.save(update_fields=["next_name"])
        postpone(previous, timezone.now(), _failure(job))
        _audit(
            previous,
            action,
            job,
            Outcome.FAILED,
            {"name": previous.name, "problem": previous.problem},
        )


def _failure(job: Job) -> str:
    return job.error or f"the job was {JobState(job.state).label.lower()}"


def _audit(
    previous: RetainedDatabase, action: str, job: Job, outcome: Outcome, details: dict[str, Any]
) -> None:
    actor, team = actor_of(job.requested_by, via="worker"), previous.restore.target_server.team
    record(actor, action, team=team, subject=previous, outcome=outcome, details=details)


def _tell_catalog(work: Work, previous: RetainedDatabase) -> None:
    """Have the databases listed as they are now; that they are not would be no failure."""
    try:
        with_patience(lambda: discover(previous.restore.target_server))
    except (CovetError, *AWAY) as error:
        work.progress.note(f"the list of databases is not up to date yet: {error}")
