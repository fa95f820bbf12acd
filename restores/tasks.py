"""The work of a restore, and what is recorded when it ended without success.

Everything is computed anew from the repository: what the page showed may be hours old.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backups.discovery import discover
from backups.engines import engine_on, keyring_for, open_repository, target_on
from backups.limits import within
from backups.models import Hold, Server
from covetbackup.access.models import User
from covetbackup.audit.log import actor_of, record
from covetbackup.audit.models import Outcome
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.errors import (
    AccessRefused,
    CovetError,
    DatabaseUnavailable,
    TargetNotEmpty,
)
from covetbackup.core.operations.restore import RestoreRequest, RestoreResult, restore_backup
from covetbackup.core.repository.layout import Label
from covetbackup.jobs.models import Job, JobState
from covetbackup.jobs.work import Work
from restores.models import Restore
from restores.outcome import Kept, Remains, Stage, Summary, is_settled, stage_of
from restores.plan import Plan, plan_of, refuse_forbidden
from restores.publishing import Announcing
from restores.targets.registry import kind_of

_LOOK_SECONDS = 30.0
_OLD = timedelta(minutes=1)
_MAY_BE_OURS = (
    "an attempt before this one was stopped while it gave the restored database its name, so it "
    "may be that one; look into it before you drop it or choose another name"
)
_FOLLOWED = ("backup__database__server__team", "repository", "target_server__team", "job")


def run_restore(work: Work) -> None:
    """Restore what the job asks for. Raises the engine's errors; then the target does not exist.

    Raises `TargetNotEmpty` also when an earlier attempt may have finished just before it was
    stopped: the hint says so.
    """
    restore = _found(work.argument["restore"])
    plan = plan_of(restore)
    _refuse_unfit(work, plan)
    _sweep_before(work, plan.server)
    may_be_done = stage_of(restore) is Stage.PUBLISHING
    began = time.monotonic()
    try:
        result = _restored(work, restore, plan)
    except TargetNotEmpty as error:
        if may_be_done:
            raise TargetNotEmpty(error.message, _MAY_BE_OURS) from error
        _write(restore, {})  # somebody else has the name, so what was announced did not happen
        raise
    _record_success(restore, result, seconds=time.monotonic() - began)
    _tell_catalog(work, plan.server)


def job_ended(job: Job) -> None:
    """After the last attempt: the hold goes, and without success what is left is cleared away.

    May be called again. Reaches the target server, for half a minute at most.
    """
    Hold.objects.filter(job=job).delete()
    restore = Restore.objects.select_related(*_FOLLOWED).filter(job=job).first()
    if restore is not None and not is_settled(restore):
        _record_failure(restore, _look_at_remains(restore))


def _found(restore_id: str) -> Restore:
    return Restore.objects.select_related(*_FOLLOWED).get(pk=UUID(restore_id))


def _refuse_unfit(work: Work, plan: Plan) -> None:
    """Rights may be gone and rows changed since the restore was asked for."""
    user_id = work.argument.get("user")
    if user_id is not None:
        user = User.objects.filter(pk=user_id).first()
        if user is None:
            raise AccessRefused("whoever asked for this restore is no user any more")
        refuse_forbidden(user, plan)
    plan.refuse_misfit()


def _sweep_before(work: Work, server: Server) -> None:
    """What killed restores left on this server goes now; that it cannot must not stop this one."""
    try:
        swept = kind_of(server).sweep(server, timezone.now() - _OLD)
    except CovetError as error:
        work.progress.note(f"could not look for left-over scratch databases: {error}")
        return
    if swept:
        work.progress.note(f"removed what killed restores left: {', '.join(swept)}")


def _restored(work: Work, restore: Restore, plan: Plan) -> RestoreResult:
    kind = kind_of(plan.server)
    announce = partial(_before_publishing, work, restore)
    return restore_backup(
        open_repository(plan.repository),
        Label.parse(plan.backup.label),
        Announcing(engine_on(plan.server, plan.name).engine, announce),
        RestoreRequest(
            target=target_on(plan.server, plan.name),
            jobs=plan.jobs if kind.has_owners else 1,
            options={"owner": plan.owner} if kind.has_owners else None,
        ),
        keyring=keyring_for(plan.backup.database.server.team),
        progress=work.progress,
    )


def _before_publishing(
    work: Work, restore: Restore, expected: Inventory, actual: Inventory
) -> None:
    """Write down that the next thing to happen is real: whoever dies now may have finished."""
    work.confirm()
    _write(restore, Summary.of(expected, actual).to_json(Stage.PUBLISHING))


def _record_success(restore: Restore, result: RestoreResult, *, seconds: float) -> None:
    details = result.manifest.opened
    summary = Summary.of(
        details.inventory,
        result.inventory,
        plain_bytes=details.plain_size,
        seconds=round(seconds, 1),
        problems=list(result.problems),
    )
    with transaction.atomic():
        _write(restore, summary.to_json(Stage.DONE))
        _audit(restore, "restore.done", Outcome.DONE, {"rows": summary.rows})


def _tell_catalog(work: Work, server: Server) -> None:
    """Have the new database listed among the others; that it is not would be no failure."""
    try:
        discover(server)
    except CovetError as error:
        work.progress.note(f"the new database is not listed yet: {error}")


def _look_at_remains(restore: Restore) -> Remains:
    if restore.job is not None and restore.job.started_at is None:
        return Remains(Kept.NOTHING)
    server, name = restore.target_server, restore.target_name
    late = DatabaseUnavailable(f"{server} did not answer within {_LOOK_SECONDS:.0f} s")
    may_be_real = stage_of(restore) is Stage.PUBLISHING
    look = partial(_remains, server, name, may_be_real, timezone.now())
    try:
        return within(_LOOK_SECONDS, look, late=late)
    except CovetError as error:
        return Remains(Kept.UNKNOWN, problem=error.message)


def _remains(server: Server, name: str, may_be_real: bool, ended_at: datetime) -> Remains:
    kind = kind_of(server)
    swept = kind.sweep(server, ended_at)
    is_real = may_be_real and not kind.is_free(server, name)
    return Remains(Kept.TARGET if is_real else Kept.NOTHING, swept)


def _record_failure(restore: Restore, remains: Remains) -> None:
    state = restore.job.state if restore.job else JobState.INTERRUPTED
    with transaction.atomic():
        _write(restore, remains.to_json())
        details = {"state": str(state), "kept": remains.kept.value}
        _audit(restore, "restore.failed", Outcome.FAILED, details)


def _write(restore: Restore, result: dict[str, Any]) -> None:
    restore.result = result
    restore.save(update_fields=["result"])


def _audit(restore: Restore, action: str, outcome: Outcome, details: dict[str, Any]) -> None:
    actor = actor_of(restore.requested_by, via="worker")
    team = restore.target_server.team
    record(actor, action, team=team, subject=restore, outcome=outcome, details=details)
