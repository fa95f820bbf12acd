"""The work behind dropping a kept database and swapping it back, and what is done at its end.

Both look first whether what they find is what was kept: a name can be given to something else.
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
    """Drop what was kept. One that is gone already is written down as that.

    Raises `Conflict` when the name belongs to something else now, or when its time is over but
    what took its place is not there any more: then it may be the only one left.
    """
    kept = _found(work)
    replacement = _replacement(kept)
    identity = replacement.identity(kept.name)
    if identity is None:
        _end(kept, RetainedState.GONE, work.job)
        return
    _refuse_other(kept.name, identity, kept.identity)
    if work.argument["is_due"] and replacement.find_by_identity(kept.successor_identity) is None:
        raise Conflict(
            f"what replaced {kept.name} is not there any more, so it is not dropped by itself",
            "look into both, and drop it by hand if it may go",
        )
    refuse_own_catalog(kept.restore.target_server, kept.name)
    work.progress.phase(f"dropping {kept.name}")
    work.confirm()
    replacement.drop(kept.name)
    _end(kept, RetainedState.DROPPED, work.job)
    _tell_catalog(work, kept)


def run_swap_back(work: Work) -> None:
    """Revert a replacement: swap the retained database and its successor. Raises `Conflict`."""
    kept = _found(work)
    if kept.next_name and _was_swapped(kept):
        work.progress.note("the attempt before this one had finished")
        _swapped(kept, work.job)
        return
    replacement, target = _replacement(kept), kept.restore.request.database
    _refuse_other(kept.name, replacement.identity(kept.name), kept.identity)
    _refuse_other(target, replacement.identity(target), kept.successor_identity)
    refuse_own_catalog(kept.restore.target_server, target)
    replacement.refuse_irreplaceable(target)
    kept.next_name = replacement.free_name(target, timezone.now())
    with_patience(lambda: kept.save(update_fields=["next_name"]))
    work.progress.phase(f"swapping {kept.name} and {target}")
    work.confirm()
    lost = replacement.swap(target, kept.name, kept.next_name)
    _swapped(kept, work.job)
    for line in lost:
        work.progress.note(line)
    _tell_catalog(work, kept)


def drop_ended(job: Job) -> None:
    """After the last attempt. May be called again; reaches the server, for half a minute."""
    kept = _of(job)
    if kept is None or kept.state != RetainedState.BUSY:
        return
    try:
        identity = _ask(kept, lambda: _replacement(kept).identity(kept.name))
    except CovetError as error:
        postpone(kept, timezone.now(), f"{_failure(job)}; {error}")
        return
    if identity is None and job.started_at is not None:
        _end(kept, RetainedState.DROPPED, job)
    else:
        _failed(kept, job, "kept.drop")


def swap_back_ended(job: Job) -> None:
    """Record the result of a revert that ended without success."""
    kept = _of(job)
    if kept is None or kept.state != RetainedState.BUSY:
        return
    if kept.next_name and _was_swapped(kept):
        _swapped(kept, job)
    else:
        _failed(kept, job, "kept.swap_back")


def _found(work: Work) -> RetainedDatabase:
    rows = RetainedDatabase.objects.select_related("restore__target_server__team")
    kept = rows.get(pk=work.argument["kept"])
    user_id = work.argument.get("user")
    if user_id is not None:
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise AccessRefused("the user who requested this was deleted")
        refuse_forbidden(user, kept)
    return kept


def _of(job: Job) -> RetainedDatabase | None:
    rows = RetainedDatabase.objects.select_related("restore__target_server__team")
    return rows.filter(pk=job.argument["kept"], job=job).first()


def _replacement(kept: RetainedDatabase) -> Replacement:
    return server_engine(kept.restore.target_server).replacement()


def _refuse_other(name: str, identity: str | None, expected: str) -> None:
    """What is not known ("") is never the same."""
    if not identity or identity != expected:
        what = "is not there any more" if identity is None else _different(identity, expected)
        raise Conflict(f"{name} {what}, so nothing was done", "look into the server by hand")


def _different(identity: str, expected: str) -> str:
    return "is another database now" if identity and expected else "may be another database now"


def _ask(kept: RetainedDatabase, look: Any) -> Any:
    late = DatabaseUnavailable(
        f"{kept.restore.target_server} did not answer within {_LOOK_SECONDS:.0f} s"
    )
    return run_with_timeout(_LOOK_SECONDS, look, late=late)


def _was_swapped(kept: RetainedDatabase) -> bool:
    """Raises `CovetError` when the server does not answer, to be called again."""
    target, next_name = kept.restore.request.database, kept.next_name
    return bool(_ask(kept, lambda: _replacement(kept).was_swapped(target, next_name)))


def _end(kept: RetainedDatabase, state: RetainedState, job: Job) -> None:
    kept.state, kept.ended_at, kept.ended_by = state, timezone.now(), job.requested_by
    details = {"name": kept.name, "state": state.value}
    with_patience(lambda: _save_done(kept, "kept.drop", job, details))


def _swapped(kept: RetainedDatabase, job: Job) -> None:
    now, before = timezone.now(), kept.name
    kept.name, kept.next_name = kept.next_name, ""
    kept.identity, kept.successor_identity = kept.successor_identity, kept.identity
    kept.is_original = not kept.is_original
    kept.state, kept.kept_at, kept.drop_after = (
        RetainedState.KEPT,
        now,
        drop_after(kept.restore, now),
    )
    details = {"back": before, "kept": kept.name}
    with_patience(lambda: _save_done(kept, "kept.swap_back", job, details))


def _save_done(kept: RetainedDatabase, action: str, job: Job, details: dict[str, Any]) -> None:
    with transaction.atomic():
        if not RetainedDatabase.objects.filter(pk=kept.pk, state=RetainedState.BUSY).exists():
            return  # the answer to an earlier commit was lost
        kept.save()
        _audit(kept, action, job, Outcome.DONE, details)


def _failed(kept: RetainedDatabase, job: Job, action: str) -> None:
    with transaction.atomic():
        kept.next_name = ""
        kept.save(update_fields=["next_name"])
        postpone(kept, timezone.now(), _failure(job))
        _audit(kept, action, job, Outcome.FAILED, {"name": kept.name, "problem": kept.problem})


def _failure(job: Job) -> str:
    return job.error or f"the job was {JobState(job.state).label.lower()}"


def _audit(
    kept: RetainedDatabase, action: str, job: Job, outcome: Outcome, details: dict[str, Any]
) -> None:
    actor, team = actor_of(job.requested_by, via="worker"), kept.restore.target_server.team
    record(actor, action, team=team, subject=kept, outcome=outcome, details=details)


def _tell_catalog(work: Work, kept: RetainedDatabase) -> None:
    """Have the databases listed as they are now; that they are not would be no failure."""
    try:
        with_patience(lambda: discover(kept.restore.target_server))
    except (CovetError, *AWAY) as error:
        work.progress.note(f"the list of databases is not up to date yet: {error}")
