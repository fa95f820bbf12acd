"""Requests of users for backups: to take, verify, hold and remove them. `state` records results.

Requests write rows and a job in one transaction; the work itself is in `tasks`. Nothing here checks
permissions or writes the audit log: the caller knows the user and the origin.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q

from backups import secrets
from backups.models import (
    Backup,
    BackupCopy,
    BackupState,
    Database,
    DatabaseState,
    Hold,
    Repository,
)
from backups.state import begin_removal, refuse_held
from covetbackup.access.models import User
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import BadSetting, Conflict
from covetbackup.core.manager import PLAIN
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.core.stream.codec import CodecSpec
from covetbackup.jobs.models import ACTIVE_STATES, Job, JobState
from covetbackup.jobs.queue import enqueue

ATTEMPTS = 3
"""How often a job is tried when a passing fault stopped it."""


def request_backup(
    database: Database,
    *,
    user: User | None,
    repositories: Sequence[Repository] | None = None,
    codec: str = "zstd:3",
    cipher: str = Suite.AES_256_GCM.value,
    method: str = "",
    note: str = "",
    backup_id: uuid.UUID | None = None,
) -> Backup:
    """Ask for a backup of `database` into `repositories`, by default the team's default one.

    With the `backup_id` of a backup of this database that was asked for already, that one: a form
    sent twice asks once. Raises `BadSetting`, `Conflict` if another one is waiting already, and
    `SecretsLocked`.
    """
    chosen = list(repositories) if repositories is not None else default_repositories(database)
    _check_backup(database, chosen, codec, cipher)
    backup_id = backup_id or uuid.uuid4()
    with transaction.atomic():
        # Locked, so that of two requests at once one finds what the other wrote.
        Database.objects.select_for_update().get(pk=database.pk)
        asked = asked_before(database, backup_id)
        if asked is not None:
            return asked
        _refuse_second(database)
        backup = Backup.objects.create(
            id=backup_id,
            database=database,
            job=_enqueue_backup(database, backup_id, chosen[0], user),
            requested_by=user,
            method=method,
            codec=codec,
            cipher=cipher,
            note=note,
        )
        copies = [BackupCopy(backup=backup, repository=repository) for repository in chosen]
        BackupCopy.objects.bulk_create(copies)
    return backup


def asked_before(database: Database, backup_id: uuid.UUID | None) -> Backup | None:
    """Return the backup that this form requested when it was sent the first time.

    Raises `Conflict` if that was for another database.
    """
    found = Backup.objects.filter(pk=backup_id).first()
    if found is not None and found.database_id != database.pk:
        raise Conflict("this form was used for another database", "begin again at the database")
    return found


def default_repositories(database: Database) -> list[Repository]:
    """Return the team's default repository, or its only one. Raises `BadSetting`."""
    rows = list(database.server.team.repositories.order_by("-is_default", "pk")[:2])
    if rows and (rows[0].is_default or len(rows) == 1):
        return rows[:1]
    raise BadSetting(
        f"team {database.server.team} has no default repository",
        "make one the default, or say where the backup goes",
    )


def _check_backup(
    database: Database, repositories: Sequence[Repository], codec: str, cipher: str
) -> None:
    if database.state == DatabaseState.GONE:
        raise BadSetting(f"{database} is gone from its server", "discover its databases again?")
    if not repositories or len({row.pk for row in repositories}) != len(repositories):
        raise BadSetting("a backup goes to one or more different repositories")
    for repository in repositories:
        if repository.team_id != database.server.team_id:
            raise BadSetting(f"repository {repository} belongs to another team")
    CodecSpec.parse(codec)
    if cipher not in (*Suite, PLAIN):
        raise BadSetting(f"{cipher[:40]!r} is not a cipher", ", ".join([*Suite, PLAIN]))
    secrets.require_open()


def _enqueue_backup(
    database: Database, backup_id: uuid.UUID, first: Repository, user: User | None
) -> Job:
    server = database.server
    return enqueue(
        "backup",
        team=server.team,
        title=f"Back up {database}",
        argument={"backup": str(backup_id)},
        queue=server.queue,
        requested_by=user,
        lock_key=f"database:{database.pk}",
        server_slot=f"server:{server.pk}",
        repository_slot=f"repository:{first.pk}",
        max_attempts=ATTEMPTS,
    )


def _refuse_second(database: Database) -> None:
    waiting = database.backups.filter(state=BackupState.PENDING, job__state=JobState.QUEUED)
    if waiting.exists():
        raise Conflict(f"a backup of {database} is waiting already", "see the list of jobs")


def request_verify(backup: Backup, level: VerifyLevel | str, *, user: User | None) -> Job:
    """Ask for a verification of every copy at `level`.

    Raises `BadSetting` for a level that is none, or is a restore test; `Conflict` for a backup
    that is not stored; `SecretsLocked` if the level needs a key.
    """
    try:
        level = VerifyLevel(level)
    except ValueError:
        raise BadSetting(f"{str(level)[:40]!r} is not a level", ", ".join(VerifyLevel)) from None
    if level is VerifyLevel.RESTORE:
        raise BadSetting(
            "a restore test is not a verification of stored bytes", "restore it as a new database"
        )
    if not backup.label or not backup.copies.exclude(stored_at=None).exists():
        raise Conflict(f"{backup} is not stored anywhere, so nothing can be verified")
    if backup.state == BackupState.EXPIRING:
        raise Conflict(f"{backup} is being removed")
    if level in (VerifyLevel.SAMPLED, VerifyLevel.CONTENT):
        secrets.require_open()
    return _enqueue_for(
        backup, "verify", f"Verify {backup.database}: {level}", user=user, level=level.value
    )


def request_delete(backup: Backup, *, user: User | None) -> Job:
    """Whatever has ended → expiring, and a job that removes every copy and the row.

    An expiring backup whose job ended without success may be asked for again. Raises `Held`
    when it is pinned or held, `Conflict` while it is being made or removed.
    """
    with transaction.atomic():
        # The backup's row alone: PostgreSQL locks no row of an outer join, as the job's is.
        rows = Backup.objects.select_for_update(of=("self",)).select_related("job")
        locked = rows.get(pk=backup.pk)
        refuse_held(locked)
        _refuse_working(locked)
        job = _enqueue_for(locked, "delete", f"Delete {locked}", user=user)
        if not begin_removal(backup):
            raise Conflict(f"{backup} is {locked.state} and cannot be removed now")
    return job


def _refuse_working(backup: Backup) -> None:
    active = Q(argument__backup=str(backup.pk), state__in=ACTIVE_STATES)
    job = Job.objects.filter(active).first()
    if job is not None:
        raise Conflict(f"{backup} is being worked on by job {job.pk}", "wait for it, or cancel it")


def _enqueue_for(
    backup: Backup, kind: str, title: str, *, user: User | None, **argument: str
) -> Job:
    server = backup.database.server
    first = backup.copies.order_by("pk").first()
    return enqueue(
        kind,
        team=server.team,
        title=title,
        argument={"backup": str(backup.pk), **argument},
        queue=server.queue,
        requested_by=user,
        lock_key=f"backup:{backup.pk}",
        repository_slot=f"repository:{first.repository_id}" if first else "",
        max_attempts=ATTEMPTS,
    )


def place_hold(
    backup: Backup, reason: str, *, job: Job | None = None, user: User | None = None
) -> Hold:
    """Keep `backup` from being removed until the hold is deleted.

    Raises `Conflict` if it cannot be restored: a restore and a removal requested at the same time
    must not both go ahead.
    """
    with transaction.atomic():
        locked = Backup.objects.select_for_update().get(pk=backup.pk)
        if not locked.is_restorable:
            raise Conflict(f"{backup} is {locked.state} and cannot be restored")
        return Hold.objects.create(backup=backup, reason=reason[:200], job=job, placed_by=user)


def set_pinned(backup: Backup, is_pinned: bool) -> None:
    """Pin or unpin `backup`."""
    backup.is_pinned = is_pinned
    backup.save(update_fields=["is_pinned"])


def set_note(backup: Backup, note: str, tags: Sequence[str]) -> None:
    """Store the note and the tags of `backup`."""
    backup.note, backup.tags = note, list(tags)
    backup.save(update_fields=["note", "tags"])
