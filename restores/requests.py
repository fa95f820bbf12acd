"""Asking for a restore: one transaction writes the restore, its job and the hold on its backup."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest

from backups.models import Server
from backups.services import place_hold
from covetbackup.access.models import User
from covetbackup.audit.log import Actor, record
from covetbackup.core.databases.checks import Check, Level, is_refused
from covetbackup.core.errors import BadSetting, Conflict
from covetbackup.jobs.models import Job
from covetbackup.jobs.queue import enqueue
from restores.models import Restore
from restores.plan import Plan, names_on_their_way, refuse_forbidden
from restores.safety_backup import request_safety_backup
from restores.selection_codec import from_json, text_of, to_json


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What was said to a change of what is there: the name that was typed, and whether that is
    backed up first."""

    typed: str
    has_safety_backup: bool = True


def request_restore(
    plan: Plan,
    *,
    by: HttpRequest | Actor,
    checks: Sequence[Check] = (),
    restore_id: uuid.UUID | None = None,
    confirmed: Confirmation | None = None,
) -> Restore:
    """Ask for `plan`, whose preflight found `checks`; one that changes what is there must be
    `confirmed`.

    With the `restore_id` of a restore of the same plan that exists already, that one: a form sent
    twice asks once. An actor without a user is the system and may do everything. Raises
    `AccessRefused`, `BadSetting` also for a wrong name typed, `Conflict` if a check failed or
    something is in the way.
    """
    user = by.user if isinstance(by.user, User) else None
    if user is not None:
        refuse_forbidden(user, plan)
    plan.refuse_misfit()
    if plan.changes_what_is_there:
        refuse_mistyped(plan.name, confirmed.typed if confirmed else "")
    with transaction.atomic():
        # Locked, so that of two requests at once one finds what the other wrote.
        Server.objects.select_for_update().get(pk=plan.server.pk)
        found = _existing(plan, restore_id)
        if found is not None:
            return found
        _refuse_obstacles(plan, checks)
        restore = _new(plan, user, checks, restore_id)
        if plan.changes_what_is_there and confirmed and confirmed.has_safety_backup:
            restore.safety_backup = request_safety_backup(plan, user)
        _save(restore, plan, user)
        record(
            by, "restore.request", team=plan.server.team, subject=restore, details=_details(restore)
        )
        return restore


def refuse_mistyped(name: str, typed: str) -> None:
    """Raises `BadSetting` unless `typed` is exactly `name`."""
    if typed != name:
        raise BadSetting(
            f"the name that was typed is not {name!r}", "type the name exactly as it is shown"
        )


def asked_before(plan: Plan, restore_id: uuid.UUID) -> Restore | None:
    """The restore that this very form asked for when it was sent the first time."""
    found = Restore.objects.filter(
        pk=restore_id,
        backup=plan.backup,
        target_server=plan.server,
        target_name=plan.name,
        adds=plan.adds,
    ).first()
    return found if found and from_json(found.selection) == plan.selection else None


def _existing(plan: Plan, restore_id: uuid.UUID | None) -> Restore | None:
    if restore_id is None or not Restore.objects.filter(pk=restore_id).exists():
        return None
    found = asked_before(plan, restore_id)
    if found is None:
        raise Conflict("this form was used for another restore", "begin again at the backup")
    return found


def _new(
    plan: Plan, user: User | None, checks: Sequence[Check], restore_id: uuid.UUID | None
) -> Restore:
    return Restore(
        id=restore_id or uuid.uuid4(),
        backup=plan.backup,
        repository=plan.repository,
        target_server=plan.server,
        target_name=plan.name,
        owner=plan.owner,
        jobs=plan.jobs,
        creates_roles=plan.creates_roles,
        switches=list(plan.switches),
        replaces=plan.replaces,
        adds=plan.adds,
        keep_days=plan.keep_days,
        selection=to_json(plan.selection),
        requested_by=user,
        preflight=[check.to_json() for check in checks],
    )


def _save(restore: Restore, plan: Plan, user: User | None) -> None:
    restore.job = _enqueue(plan, restore, user)
    restore.save(force_insert=True)
    verb = "into" if plan.adds else "as"
    reason = f"being restored {verb} {plan.server}/{plan.name}"
    place_hold(plan.backup, reason, job=restore.job, user=user)


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
    verb = "in place of" if plan.replaces else "into" if plan.adds else "as"
    return enqueue(
        "restore",
        team=plan.server.team,
        title=f"Restore {plan.backup.database} {verb} {plan.server}/{plan.name}",
        # The user's id is written down twice: the column is emptied when a user is deleted, and
        # a job without a user is the system's, which may do everything.
        argument={
            "restore": str(restore.pk),
            "backup": str(plan.backup.pk),
            "user": user.pk if user else None,
        },
        queue=plan.server.queue,
        requested_by=user,
        lock_key=target_lock(plan.server, plan.name),
        server_slot=f"server:{plan.server.pk}",
        repository_slot=f"repository:{plan.repository.pk}",
        # Never tried again by itself: an operator looks at what happened first.
        max_attempts=1,
        is_held=restore.safety_backup is not None,
    )


def target_lock(server: Server, name: str) -> str:
    """Of the jobs that change what `name` means on `server` one runs at a time."""
    return f"target:{server.pk}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _details(restore: Restore) -> dict[str, str | int]:
    details: dict[str, str | int] = {
        "backup": str(restore.backup),
        "repository": str(restore.repository),
        "target": f"{restore.target_server}/{restore.target_name}",
        "owner": restore.owner,
        "jobs": restore.jobs,
    }
    if restore.selection is not None:
        details["selection"] = text_of(from_json(restore.selection))
    if restore.switches:
        details["choices"] = ", ".join(restore.switches)
    if restore.replaces:
        details |= {"replaces": restore.target_name, "keep_days": restore.keep_days}
    if restore.adds:
        details["adds_to"] = restore.target_name
    if restore.adds or restore.replaces:
        details["safety_backup"] = str(restore.safety_backup_id or "none")
    return details
