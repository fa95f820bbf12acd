"""The restores that are possible: to which servers, from which copies, by whom."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from backups.models import Backup, BackupCopy, CopyState, Repository, Server
from backups.models.repository import RepositoryKind
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.core.databases.registry import default_jobs
from covetbackup.core.errors import AccessRefused, BadSetting, Conflict
from covetbackup.jobs.models import ACTIVE_STATES
from restores.models import Restore
from restores.target_server import features_of, refuse_name

MOST_JOBS = 16
MOST_DAYS = 3650
_GOOD_COPIES = (CopyState.VERIFIED, CopyState.STORED)


def validate(restore: Restore) -> None:
    """Raise `BadSetting` or `Conflict` for faults that show without contacting the target."""
    backup, server, request = restore.backup, restore.target_server, restore.request
    if not backup.is_restorable:
        raise Conflict(f"{backup} is {backup.state} and cannot be restored")
    if server.kind != backup.database.server.kind:
        raise BadSetting(f"{server} is not a server of the kind that was backed up")
    if request.jobs is None or not 1 <= request.jobs <= MOST_JOBS:
        raise BadSetting(f"{request.jobs} parallel jobs are not possible", f"1 to {MOST_JOBS} are")
    if not 0 <= restore.retention_days <= MOST_DAYS:
        raise BadSetting(f"{restore.retention_days} days are not possible", f"0 to {MOST_DAYS} are")
    features_of(server).refuse(request)
    refuse_name(server, request.database)


def default_jobs_of(backup: Backup) -> int:
    """Return how many connections load `backup` at once by default."""
    return default_jobs(backup.database.server.kind, backup.method)


def source_repository(restore: Restore) -> Repository:
    """Return the repository to read from: another one with a copy if the requested was removed.

    Raises `Conflict` if no copy is good.
    """
    return restore.repository or best_repository(restore.backup)


def readable_copies(backup: Backup) -> list[BackupCopy]:
    """Return the good copies in the order to read: verified before stored, local before remote."""
    rows = backup.copies.filter(state__in=_GOOD_COPIES).select_related("repository")
    return sorted(
        rows,
        key=lambda copy: (
            copy.state != CopyState.VERIFIED,
            copy.repository.kind != RepositoryKind.LOCAL,
            copy.pk,
        ),
    )


def best_repository(backup: Backup) -> Repository:
    """Return the repository of the first readable copy. Raises `Conflict` if no copy is good."""
    copies = readable_copies(backup)
    if not copies:
        raise Conflict(f"{backup} has no good copy", "verify its copies, or choose another backup")
    return copies[0].repository


def targets_for(user: User, backup: Backup) -> QuerySet[Server]:
    """Return the servers that `user` may restore `backup` to: of its kind, in permitted teams.

    To restore into another team's server takes data out of the team as a download does, so that
    needs the permission to download in the backup's own team.
    """
    source = backup.database.server
    servers: QuerySet[Server] = Server.objects.permitted(user, Permission.RESTORE_NEW)
    servers = servers.filter(kind=source.kind).select_related("team").order_by("name", "pk")
    if not user.may(Permission.VIEW, source.team_id):
        return servers.none()
    if user.may(Permission.DOWNLOAD_BACKUP, source.team_id):
        return servers
    return servers.filter(team=source.team_id)


def refuse_forbidden(user: User, restore: Restore) -> None:
    """Raise `AccessRefused` unless `user` may do this now."""
    server = restore.target_server
    is_target = targets_for(user, restore.backup).filter(pk=server.pk).exists()
    may_replace = user.may(Permission.RESTORE_OVERWRITE, server.team_id)
    if not is_target or (restore.changes_existing and not may_replace):
        raise AccessRefused(
            f"{user} may not restore {restore.summary}",
            "a user who has the permission can start it again",
        )


def replaceable_for(user: User, backup: Backup) -> QuerySet[Server]:
    """Return the servers on which `user` may replace or change existing databases."""
    teams = user.teams_with(Permission.RESTORE_OVERWRITE)
    return targets_for(user, backup).filter(team__in=teams)


def suggested_name(backup: Backup, server: Server) -> str:
    """Return the database's name with the time of its data, unused as far as the catalog knows."""
    moment = timezone.localtime(backup.consistent_at or backup.created_at)
    stamp = f"_{moment:%Y%m%d_%H%M}"
    joined = features_of(server).name_with_suffix
    taken = {*server.databases.values_list("name", flat=True), *pending_names(server)}
    number = 1
    while (name := joined(backup.database.name, stamp)) in taken:
        number += 1
        stamp = f"_{moment:%Y%m%d_%H%M}_{number}"
    return name


def pending_names(server: Server) -> list[str]:
    """Return the target databases of unfinished restores to `server`."""
    waiting = server.restores.filter(job__state__in=ACTIVE_STATES)
    return [request.database for request in waiting.values_list("request", flat=True)]
