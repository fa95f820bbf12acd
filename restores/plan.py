"""What somebody wants restored and to where, and who may want that. Contacts nothing."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from backups.models import Backup, BackupCopy, CopyState, Repository, Server
from backups.models.repository import RepositoryKind
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.core.databases.registry import default_jobs
from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import AccessRefused, BadSetting, Conflict
from covetbackup.jobs.models import ACTIVE_STATES
from restores.models import KEEP_DAYS, Restore
from restores.selection_codec import from_json
from restores.target_server import features_of, refuse_name

MOST_JOBS = 16
MOST_DAYS = 3650
_GOOD_COPIES = (CopyState.VERIFIED, CopyState.STORED)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of `backup` or a `selection` of it, read from `repository`, into the database `name` of
    `server`: a new one, or with `replaces` one that is there, is kept for `keep_days` and then
    dropped (0: by hand), or with `adds` one that is there and gets the selection besides.

    `owner`: "keep", "none" or the name of the role that shall own all; `creates_roles`: those that
    are missing come from the backup. `switches` are the names of further choices that were made.
    """

    backup: Backup
    repository: Repository
    server: Server
    name: str
    owner: str = "keep"
    jobs: int = 1
    creates_roles: bool = False
    replaces: bool = False
    keep_days: int = KEEP_DAYS
    selection: Selection | None = None
    adds: bool = False
    switches: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.backup} {'into' if self.adds else 'as'} {self.server}/{self.name}"

    @property
    def is_beside_source(self) -> bool:
        return self.server.pk == self.backup.database.server_id

    @property
    def changes_what_is_there(self) -> bool:
        """Whether somebody may miss what was: then more is asked of whoever wants it."""
        return self.replaces or self.adds

    @property
    def has_structure(self) -> bool:
        """Whether anything is made, or rows go into what is there."""
        return self.selection is None or self.selection.with_structure

    def refuse_misfit(self) -> None:
        """Raises `BadSetting` or `Conflict` for what can be told to be wrong by looking at it."""
        if not self.backup.is_restorable:
            raise Conflict(f"{self.backup} is {self.backup.state} and cannot be restored")
        if self.server.kind != self.backup.database.server.kind:
            raise BadSetting(f"{self.server} is not a server of the kind that was backed up")
        if not 1 <= self.jobs <= MOST_JOBS:
            raise BadSetting(f"{self.jobs} parallel jobs are not possible", f"1 to {MOST_JOBS} are")
        if not 0 <= self.keep_days <= MOST_DAYS:
            raise BadSetting(f"{self.keep_days} days are not possible", f"0 to {MOST_DAYS} are")
        self._refuse_switches()
        self._refuse_selection()
        features_of(self.server).refuse_owner(self.owner)
        refuse_name(self.server, self.name)

    def _refuse_switches(self) -> None:
        known = {switch.name for switch in features_of(self.server).switches}
        unknown = sorted(set(self.switches) - known)
        if unknown:
            raise BadSetting(f"a restore to {self.server} has no choice {', '.join(unknown)}")

    def _refuse_selection(self) -> None:
        if self.adds:
            self._refuse_addition()
        if self.selection is None:
            return
        if self.replaces:
            raise BadSetting(
                "some tables never take the place of a whole database",
                "restore them under a new name and copy from there",
            )
        features = features_of(self.server)
        if not features.selects:
            raise BadSetting(
                f"backups of {self.backup.database.server} are restored whole",
                "restore everything under a new name and copy from there",
            )
        if self.selection.schemas_as and not features.has_schemas:
            raise BadSetting(f"{self.server} knows no schemas that could be called otherwise")
        if not (self.has_structure or self.adds):
            raise BadSetting(
                "rows alone go into tables that are there", "say which database has them"
            )

    def _refuse_addition(self) -> None:
        features = features_of(self.server)
        if not features.adds:
            raise BadSetting(
                f"nothing can be added to a database of {self.server}",
                "restore under a new name and copy from there",
            )
        if self.selection is None:
            raise BadSetting(
                "into a database that is there goes only what is chosen",
                "choose tables or schemas, or restore everything under a new name",
            )
        if self.has_structure and not features.adds_tables:
            raise BadSetting(
                f"to a database of {self.server} only rows can be added",
                "create the tables first, or restore under a new name",
            )


def usual_jobs_of(backup: Backup) -> int:
    return default_jobs(backup.database.server.kind, backup.method)


def plan_of(restore: Restore) -> Plan:
    """What was asked for; if the copy's repository is gone from the catalog, another copy."""
    return Plan(
        backup=restore.backup,
        repository=restore.repository or best_repository(restore.backup),
        server=restore.target_server,
        name=restore.target_name,
        owner=restore.owner,
        jobs=restore.jobs,
        creates_roles=restore.creates_roles,
        replaces=restore.replaces,
        keep_days=restore.keep_days,
        selection=from_json(restore.selection),
        adds=restore.adds,
        switches=tuple(restore.switches),
    )


def readable_copies(backup: Backup) -> list[BackupCopy]:
    """The good copies, the one to read first: verified before stored, local before remote."""
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
    """Raises `Conflict` if no copy is good."""
    copies = readable_copies(backup)
    if not copies:
        raise Conflict(f"{backup} has no good copy", "verify its copies, or choose another backup")
    return copies[0].repository


def targets_for(user: User, backup: Backup) -> QuerySet[Server]:
    """The servers that `user` may restore `backup` to: of its kind, in teams where he may.

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


def refuse_forbidden(user: User, plan: Plan) -> None:
    """Raises `AccessRefused` unless `user` may do this now."""
    is_target = targets_for(user, plan.backup).filter(pk=plan.server.pk).exists()
    may_replace = user.may(Permission.RESTORE_OVERWRITE, plan.server.team_id)
    if not is_target or (plan.changes_what_is_there and not may_replace):
        raise AccessRefused(
            f"{user} may not restore {plan}", "ask somebody who may to start it again"
        )


def replaceable_for(user: User, backup: Backup) -> QuerySet[Server]:
    """Of the targets those on which `user` may replace what is there."""
    teams = user.teams_with(Permission.RESTORE_OVERWRITE)
    return targets_for(user, backup).filter(team__in=teams)


def suggested_name(backup: Backup, server: Server) -> str:
    """The database's name and the moment of its data, free as far as the catalog knows."""
    moment = timezone.localtime(backup.consistent_at or backup.created_at)
    stamp = f"_{moment:%Y%m%d_%H%M}"
    joined = features_of(server).joined_name
    taken = {*server.databases.values_list("name", flat=True), *names_on_their_way(server)}
    number = 1
    while (name := joined(backup.database.name, stamp)) in taken:
        number += 1
        stamp = f"_{moment:%Y%m%d_%H%M}_{number}"
    return name


def names_on_their_way(server: Server) -> list[str]:
    """What unfinished restores to `server` will be called."""
    waiting = server.restores.filter(job__state__in=ACTIVE_STATES)
    return list(waiting.values_list("target_name", flat=True))
