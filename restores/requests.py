"""Asking for a restore: one transaction writes the restore, its job and the hold on its backup."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from django.db import transaction
from django.http import HttpRequest

from backups.catalog import place_hold
from backups.models import Server
from covetbackup.access.models import User
from covetbackup.audit.log import Actor, record
from covetbackup.core.errors import Conflict
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import enqueue
from restores.checks import Check, Level, is_refused
from restores.models import Restore
from restores.plan import Plan, names_on_their_way, refuse_forbidden


def request_restore(
    plan: Plan,
    *,
    by: HttpRequest | Actor,
    checks: Sequence[Check] = (),
    restore_id: uuid.UUID | None = None,
) -> Restore:
    """Ask for `plan`, whose preflight found `checks`.

    With the `restore_id` of a restore of the same plan that exists already, that one: a form sent
    twice asks once. An actor without a user is the system and may do everything. Raises
    `AccessRefused`, `BadSetting`, `Conflict` if a check failed or something is in the way.
    """
    user = by.user if isinstance(by.user, User) else None
    if user is not None:
        refuse_forbidden(user, plan)
    plan.refuse_misfit()
    with transaction.atomic():
        # Locked, so that of two requests at once one finds what the other wrote.
        Server.objects.select_for_update().get(pk=plan.server.pk)
        found = _existing(plan, restore_id)
        if found is not None:
            return found
        _refuse_obstacles(plan, checks)
        restore = _create(plan, user, checks, restore_id or uuid.uuid4())
        team, details = plan.server.team, _details(plan)
        record(by, "restore.request", team=team, subject=restore, details=details)
    return restore


def asked_before(plan: Plan, restore_id: uuid.UUID) -> Restore | None:
    """The restore that this very form asked for when it was sent the first time."""
    return Restore.objects.filter(
        pk=restore_id,
        backup=plan.backup,
        target_server=plan.server,
        target_name=plan.name,
    ).first()


def _existing(plan: Plan, restore_id: uuid.UUID | None) -> Restore | None:
    if restore_id is None or not Restore.objects.filter(pk=restore_id).exists():
        return None
    found = asked_before(plan, restore_id)
    if found is None:
        raise Conflict("this form was used for another restore", "begin again at the backup")
    return found


def _create(
    plan: Plan, user: User | None, checks: Sequence[Check], restore_id: uuid.UUID
) -> Restore:
    restore = Restore(
        id=restore_id,
        backup=plan.backup,
        repository=plan.repository,
        target_server=plan.server,
        target_name=plan.name,
        owner=plan.owner,
        jobs=plan.jobs,
        requested_by=user,
        preflight=[check.to_json() for check in checks],
    )
    restore.job = _enqueue(plan, restore, user)
    restore.save(force_insert=True)
    reason = f"being restored as {plan.server}/{plan.name}"
    place_hold(plan.backup, reason, job=restore.job, user=user)
    return restore


def _refuse_obstacles(plan: Plan, checks: Sequence[Check]) -> None:
    if is_refused(checks):
        failed = [check.title for check in checks if check.level is Level.FAIL]
        raise Conflict(f"checks failed: {', '.join(failed)}", "see what each says and fix it")
    if plan.name in names_on_their_way(plan.server):
        raise Conflict(
            f"another restore to {plan.server}/{plan.name} is waiting or running",
            "choose another name, or wait for it",
        )


def _enqueue(plan: Plan, restore: Restore, user: User | None) -> Job:
    name = hashlib.sha256(plan.name.encode()).hexdigest()[:32]
    return enqueue(
        "restore",
        team=plan.server.team,
        title=f"Restore {plan.backup.database} as {plan.server}/{plan.name}",
        # The user's id is written down twice: the column is emptied when a user is deleted, and
        # a job without a user is the system's, which may do everything.
        argument={
            "restore": str(restore.pk),
            "backup": str(plan.backup.pk),
            "user": user.pk if user else None,
        },
        queue=plan.server.queue,
        requested_by=user,
        lock_key=f"target:{plan.server.pk}:{name}",
        server_lane=f"server:{plan.server.pk}",
        repository_lane=f"repository:{plan.repository.pk}",
        # Never tried again by itself: an operator looks at what happened first.
        max_attempts=1,
    )


def _details(plan: Plan) -> dict[str, str | int]:
    return {
        "backup": str(plan.backup),
        "repository": plan.repository.name,
        "target": f"{plan.server}/{plan.name}",
        "owner": plan.owner,
        "jobs": plan.jobs,
    }
