"""One row for each restore that was asked for, with what came of it, and one for each database
that a restore replaced.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from backups.models import Backup, Repository, Server
from covetbackup.access.models import TeamQuerySet
from covetbackup.jobs.models import Job

KEEP_DAYS = 7
"""How long a replaced database is kept unless somebody says otherwise."""

OWNER_CHARACTERS = 384
"""Of an account of MariaDB, 128@255; a role of PostgreSQL has 63 bytes."""


class Restore(models.Model):
    """A restore of one backup into a database on a server. Its state is its job's.

    One that `replaces` keeps what it replaced for `keep_days`, 0 is until somebody drops it; its
    job is held until `safety_backup`, if there is one, has succeeded. `switches` are names of
    further choices (`restore_target.Switch`). Without a `selection` all of the backup is restored;
    with one that `adds`, it goes into a database that is there.
    """

    TEAM_PATH = "target_server__team"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="restores")
    repository = models.ForeignKey(
        Repository, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    target_server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="restores")
    target_name = models.CharField(max_length=255)
    owner = models.CharField(max_length=OWNER_CHARACTERS, default="keep")
    jobs = models.PositiveIntegerField(default=1)
    creates_roles = models.BooleanField(default=False)
    switches = models.JSONField(default=list)
    replaces = models.BooleanField(default=False)
    adds = models.BooleanField(default=False)
    keep_days = models.PositiveIntegerField(default=KEEP_DAYS)
    selection = models.JSONField(null=True)
    safety_backup = models.ForeignKey(
        Backup, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="restore")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    preflight = models.JSONField(default=list)
    result = models.JSONField(default=dict)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.CheckConstraint(
                condition=~Q(adds=True, replaces=True), name="restore_adds_or_replaces"
            )
        ]

    def __str__(self) -> str:
        return f"restore of {self.backup} as {self.target_server}/{self.target_name}"


class RetainedState(models.TextChoices):
    """kept ⇄ busy (a job drops it or swaps it back) → dropped, or gone: not by us."""

    KEPT = "kept"
    BUSY = "busy"
    DROPPED = "dropped"
    GONE = "gone"


class RetainedDatabase(models.Model):
    """The database that a restore replaced, or after a swap back the restored one, under the name
    it has now.

    Identities are those of the servers (`Replacement.identity`): names can be given to something
    else. `successor_identity` is that of the database in the place that this one had. `next_name`
    is written before a swap back: whoever dies in it leaves word of what may have happened.
    """

    TEAM_PATH = "restore__target_server__team"

    restore = models.OneToOneField(Restore, on_delete=models.CASCADE, related_name="kept")
    name = models.CharField(max_length=255)
    identity = models.CharField(max_length=255, blank=True)
    successor_identity = models.CharField(max_length=255, blank=True)
    is_original = models.BooleanField(default=True)
    state = models.CharField(max_length=8, choices=RetainedState, default=RetainedState.KEPT)
    drop_after = models.DateTimeField(null=True)
    kept_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    next_name = models.CharField(max_length=255, blank=True)
    problem = models.TextField(blank=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("-kept_at",)
        indexes = [
            models.Index(
                fields=["drop_after"],
                condition=Q(state=RetainedState.KEPT),
                name="kept_to_be_dropped",
            )
        ]

    def __str__(self) -> str:
        return f"{self.restore.target_server}/{self.name}"
