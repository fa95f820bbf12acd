"""Request a restore: one transaction writes the restore, its job and the hold on its backup."""

from __future__ import annotations

import hashlib
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
from restores.safety_backup import request_safety_backup
from restores.selection_text import text_of
from restores.targets import pending_names, refuse_forbidden, validate


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The confirmation of a change to an existing database.

    It has the name that was typed, and whether the database is backed up first.
    """

    typed: str
    has_safety_backup: bool = True


def request_restore(
    restore: Restore,
    *,
    by: HttpRequest | Actor,
    checks: Sequence[Check] = (),
    confirmed: Confirmation | None = None,
) -> Restore:
    """Save `restore`, whose preflight found `checks`, with its job.

    One that changes an existing database must be `confirmed`. If a restore with its id and the same
    request exists already, that one is returned: a form sent twice requests once. An actor without
    a user is the system and may do everything. Raises `AccessRefused`, `BadSetting` also for a
    wrong name typed, `Conflict` if a check failed or something is in the way.
    """
    user = by.user if isinstance(by.user, User) else None
    if user is not None:
        refuse_forbidden(user, restore)
    validate(restore)
    if restore.changes_existing:
        refuse_mistyped(restore.request.database, confirmed.typed if confirmed else "")
    with transaction.atomic():
        # Locked, so that of two requests at once one finds what the other wrote.
        Server.objects.select_for_update().get(pk=restore.target_server_id)
        found = _existing(restore)
        if found is not None:
            return found
        _refuse_obstacles(restore, checks)
        restore.requested_by = user
        restore.preflight = [check.to_json() for check in checks]
        if restore.changes_existing and confirmed and confirmed.has_safety_backup:
            restore.safety_backup = request_safety_backup(restore, user)
        restore.job = _enqueue(restore, user)
        restore.save(force_insert=True)
        _hold_backup(restore, user)
        team = restore.target_server.team
        record(by, "restore.request", team=team, subject=restore, details=_details(restore))
        return restore


def refuse_mistyped(name: str, typed: str) -> None:
    """Raise `BadSetting` unless `typed` is exactly `name`."""
    if typed != name:
        raise BadSetting(
            f"the name that was typed is not {name!r}", "type the name exactly as it is shown"
        )


def requested_before(restore: Restore) -> Restore | None:
    """Return the restore that this very form requested when it was sent the first time."""
    found = Restore.objects.filter(
        pk=restore.pk, backup=restore.backup, target_server=restore.target_server
    ).first()
    return found if found and found.request == restore.request else None


def _existing(restore: Restore) -> Restore | None:
    if not Restore.objects.filter(pk=restore.pk).exists():
        return None
    found = requested_before(restore)
    if found is None:
        raise Conflict("this form was used for another restore", "begin again at the backup")
    return found


def _hold_backup(restore: Restore, user: User | None) -> None:
    verb = "into" if restore.request.is_in_place else "as"
    reason = f"being restored {verb} {restore.target}"
    place_hold(restore.backup, reason, job=restore.job, user=user)


def _refuse_obstacles(restore: Restore, checks: Sequence[Check]) -> None:
    if is_refused(checks):
        failed = [check.title for check in checks if check.level is Level.FAIL]
        raise Conflict(f"checks failed: {', '.join(failed)}", "see what each says and fix it")
    if restore.request.database in pending_names(restore.target_server):
        raise Conflict(
            f"another restore to {restore.target} is waiting or running",
            "choose another name, or wait for it",
        )


def _enqueue(restore: Restore, user: User | None) -> Job:
    server, request = restore.target_server, restore.request
    verb = "in place of" if request.replace else "into" if request.is_in_place else "as"
    return enqueue(
        "restore",
        team=server.team,
        title=f"Restore {restore.backup.database} {verb} {restore.target}",
        # The user's id is written down twice: the column is emptied when a user is deleted, and
        # a job without a user is the system's, which may do everything.
        argument={
            "restore": str(restore.pk),
            "backup": str(restore.backup_id),
            "user": user.pk if user else None,
        },
        queue=server.queue,
        requested_by=user,
        lock_key=target_lock(server, request.database),
        server_slot=f"server:{server.pk}",
        repository_slot=f"repository:{restore.repository_id}",
        # Never tried again by itself: an operator looks at what happened first.
        max_attempts=1,
        is_held=restore.safety_backup is not None,
    )


def target_lock(server: Server, name: str) -> str:
    """Return the name of the lock for changes of the database `name` on `server`."""
    return f"target:{server.pk}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _details(restore: Restore) -> dict[str, str | int]:
    request = restore.request
    details: dict[str, str | int] = {
        "backup": str(restore.backup),
        "repository": str(restore.repository),
        "target": restore.target,
        "owner": request.owner,
        "jobs": request.jobs or 1,
    }
    if request.selection is not None:
        details["selection"] = text_of(request.selection)
    if request.options:
        details["options"] = ", ".join(request.options)
    if request.replace:
        details |= {"replaces": request.database, "retention_days": restore.retention_days}
    if request.is_in_place:
        details["into_existing"] = request.database
    if restore.changes_existing:
        details["safety_backup"] = str(restore.safety_backup_id or "none")
    return details
