"""The work of a restore, and what is recorded when it ended without success.

Everything is computed anew from the repository: what the page showed may be hours old.
"""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backups.discovery import discover
from backups.engine_factory import (
    engine_on,
    keyring_for,
    open_repository,
    server_engine,
)
from backups.models import Hold, Server
from backups.reachability import noting_reachability
from covetbackup.access.models import User
from covetbackup.audit.log import actor_of, record
from covetbackup.audit.models import Outcome
from covetbackup.core.errors import (
    AccessRefused,
    Conflict,
    CovetError,
    DatabaseUnavailable,
    TargetNotEmpty,
)
from covetbackup.core.operations.restore import (
    PendingCommit,
    RestoreResult,
    restore_backup,
)
from covetbackup.core.repository.layout import Label
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.outage import AWAY, with_patience
from covetbackup.jobs.work import Work
from restores.interrupted import find_leftovers, was_committed
from restores.models import Restore
from restores.result import (
    Leftovers,
    ResultStage,
    Summary,
    TargetContent,
    is_settled,
    stage_of,
    summary_of,
)
from restores.retained import keep
from restores.target_server import refuse_own_catalog
from restores.targets import refuse_forbidden, source_repository, validate

_OLD = timedelta(minutes=1)
_MAY_BE_OURS = (
    "an attempt before this one was stopped while it gave the restored database its name, so it "
    "may be that one; look into it before you drop it or choose another name"
)
_FOLLOWED = (
    "backup__database__server__team",
    "repository",
    "target_server__team",
    "job",
    "safety_backup",
)


def run_restore(work: Work) -> None:
    """Run the restore that a job is for.

    Raises the engine's errors; then the target does not exist, or is as it was if it was to be
    replaced. Raises `TargetNotEmpty`, or for a restore into an existing database `Conflict`, also
    when an earlier attempt may have finished just before it was stopped: the hint says so.
    """
    restore = _found(work.argument["restore"])
    _refuse_changed(work, restore)
    _refuse_unsafe(restore)
    if stage_of(restore) is ResultStage.DONE or _was_finished_before(work, restore):
        return
    _cleanup_before(work, restore.target_server)
    may_be_done = stage_of(restore) is ResultStage.PUBLISHING
    began = time.monotonic()
    try:
        with noting_reachability(restore.target_server):
            result = _restored(work, restore)
    except TargetNotEmpty as error:
        # Of what is added `was_committed` has told that it was not.
        if may_be_done and not restore.request.is_in_place:
            raise TargetNotEmpty(error.message, _MAY_BE_OURS) from error
        _write(restore, {})  # another database has the name: the commit did not happen
        raise
    except CovetError as error:
        if restore.request.is_in_place and not isinstance(error, DatabaseUnavailable):
            _write(restore, {})  # the server refused what was announced, so it did not happen
        raise
    _record_success(restore, result, seconds=time.monotonic() - began)
    update_catalog(work, restore)


def job_ended(job: Job) -> None:
    """After the last attempt: the hold goes, and without success what is left is cleared away.

    May be called again. Reaches the target server, for half a minute at most.
    """
    Hold.objects.filter(job=job).delete()
    restore = Restore.objects.select_related(*_FOLLOWED).filter(job=job).first()
    if restore is not None and not is_settled(restore):
        _record_failure(restore, find_leftovers(restore))


def _found(restore_id: str) -> Restore:
    return Restore.objects.select_related(*_FOLLOWED).get(pk=UUID(restore_id))


def _refuse_changed(work: Work, restore: Restore) -> None:
    """Permissions may be gone and rows changed since the restore was requested."""
    user_id = work.argument.get("user")
    if user_id is not None:
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise AccessRefused("the user who requested this restore was deleted")
        refuse_forbidden(user, restore)
    validate(restore)
    if restore.changes_existing:
        refuse_own_catalog(restore.target_server, restore.request.database)


def _refuse_unsafe(restore: Restore) -> None:
    """The job is held until its safety backup is good; it may be gone or damaged since."""
    if restore.safety_backup is not None and not restore.safety_backup.is_restorable:
        raise Conflict(
            f"the safety backup of {restore.request.database} is {restore.safety_backup.state}",
            "nothing was touched; ask for the restore again",
        )


def _was_finished_before(work: Work, restore: Restore) -> bool:
    """Whether an attempt before this one was stopped right after it became real: a second would
    replace what the first one restored, or add everything twice."""
    summary = summary_of(restore)
    if stage_of(restore) is not ResultStage.PUBLISHING or summary is None:
        return False
    if not was_committed(restore, summary.retained_as):
        return False
    work.progress.note("the attempt before this one had finished")
    record_done(restore, summary)
    return True


def _cleanup_before(work: Work, server: Server) -> None:
    """What killed restores left on this server goes now; that it cannot must not stop this one."""
    try:
        target = server_engine(server).target()
        swept = target.cleanup(timezone.now() - _OLD, work.progress.note)
    except CovetError as error:
        work.progress.note(f"could not look for left-over scratch databases: {error}")
        return
    if swept:
        work.progress.note(f"removed what killed restores left: {', '.join(swept)}")


def _restored(work: Work, restore: Restore) -> RestoreResult:
    return restore_backup(
        open_repository(source_repository(restore)),
        Label.parse(restore.backup.label),
        engine_on(restore.target_server, restore.request.database).engine,
        restore.request,
        keyring=keyring_for(restore.backup.database.server.team),
        progress=work.progress,
        before_commit=partial(_before_commit, work, restore),
    )


def _before_commit(work: Work, restore: Restore, pending: PendingCommit) -> None:
    """Record that the commit is next: an attempt that is killed from now on may have finished."""
    work.confirm()
    summary = Summary.of(
        pending.expected,
        pending.actual,
        selection=restore.request.selection,
        retained_as=pending.retained_as,
        trace=pending.commit_id,
    )
    _write(restore, summary.to_json(ResultStage.PUBLISHING))


def _record_success(restore: Restore, result: RestoreResult, *, seconds: float) -> None:
    details = result.manifest.opened
    summary = Summary.of(
        details.inventory,
        result.inventory,
        selection=restore.request.selection,
        plain_bytes=result.plain_bytes,
        seconds=round(seconds, 1),
        problems=list(result.problems),
        retained_as=result.retained_as,
    )
    record_done(restore, summary)


def record_done(restore: Restore, summary: Summary) -> None:
    """Record the result of a restore after its commit."""
    identities = _identities(restore, summary.retained_as)
    with_patience(lambda: _write_done(restore, summary, identities))


def _write_done(restore: Restore, summary: Summary, identities: tuple[str, str]) -> None:
    with transaction.atomic():
        stored = Restore.objects.filter(pk=restore.pk, result__state=ResultStage.DONE.value)
        if stored.exists():
            return  # the answer to an earlier commit was lost
        _write(restore, summary.to_json(ResultStage.DONE))
        details = {"rows": summary.rows}
        if summary.retained_as:
            keep(restore, summary.retained_as, *identities)
            details["retained_as"] = summary.retained_as
        _audit(restore, "restore.done", Outcome.DONE, details)


def _identities(restore: Restore, retained_as: str) -> tuple[str, str]:
    """Of what is kept and of what has its place; "" where the server does not tell any more: then
    nobody drops the one or swaps the other."""
    if not retained_as:
        return "", ""
    try:
        replacement = server_engine(restore.target_server).replacement()
        names = (retained_as, restore.request.database)
        retained, successor = (replacement.identity(name) or "" for name in names)
    except CovetError:
        return "", ""
    return retained, successor


def update_catalog(work: Work, restore: Restore) -> None:
    """Have the new database listed among the others; that it is not would be no failure."""
    server = restore.target_server
    try:
        with_patience(lambda: discover(server))
    except (CovetError, *AWAY) as error:
        work.progress.note(f"the new database is not listed yet: {error}")
        return
    if not restore.changes_existing:
        # One that has backups, under a name that was lost for example, is no mere copy.
        made = server.databases.filter(name=restore.request.database, backups=None)
        made.update(is_restored_copy=True)


def _record_failure(restore: Restore, leftovers: Leftovers) -> None:
    state = restore.job.state if restore.job else JobState.INTERRUPTED
    is_swapped = leftovers.kept is TargetContent.TARGET and leftovers.retained_as
    identities = _identities(restore, leftovers.retained_as if is_swapped else "")
    with transaction.atomic():
        _write(restore, leftovers.to_json())
        if is_swapped:
            keep(restore, leftovers.retained_as, *identities)
        details = {"state": str(state), "kept": leftovers.kept.value}
        _audit(restore, "restore.failed", Outcome.FAILED, details)


def _write(restore: Restore, result: dict[str, Any]) -> None:
    restore.result = result
    with_patience(lambda: restore.save(update_fields=["result"]))


def _audit(restore: Restore, action: str, outcome: Outcome, details: dict[str, Any]) -> None:
    actor = actor_of(restore.requested_by, via="worker")
    team = restore.target_server.team
    record(actor, action, team=team, subject=restore, outcome=outcome, details=details)
