"""Restores with their results, and the databases that restores replaced."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from backups.models import Backup, Repository, Server
from covetbackup.access.models import TeamQuerySet
from covetbackup.jobs.models import Job
from restores.fields import RestoreRequestField

RETENTION_DAYS = 7
"""How long a replaced database is retained by default."""


class Restore(models.Model):
    """A restore of one backup into a database on a server. Its state is its job's.

    `request` is what the engine gets, unchanged. A replaced database is retained for
    `retention_days`, with 0 until it is deleted by hand. The job is held until `safety_backup`, if
    there is one, has succeeded. `repository` is the copy to read; None once that was removed.
    """

    TEAM_PATH = "target_server__team"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="restores")
    repository = models.ForeignKey(
        Repository, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    target_server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="restores")
    request = RestoreRequestField()
    retention_days = models.PositiveIntegerField(default=RETENTION_DAYS)
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

    def __str__(self) -> str:
        return f"restore of {self.summary}"

    @property
    def target(self) -> str:
        """The database that is restored to, as SERVER/NAME."""
        return f"{self.target_server}/{self.request.database}"

    @property
    def summary(self) -> str:
        """The backup and its target: "BACKUP as SERVER/NAME"."""
        return f"{self.backup} {'into' if self.request.is_in_place else 'as'} {self.target}"

    @property
    def is_beside_source(self) -> bool:
        """Whether the target is on the server that was backed up."""
        return bool(self.target_server_id == self.backup.database.server_id)

    @property
    def changes_existing(self) -> bool:
        """Whether the target exists and is replaced or changed: then more has to be confirmed."""
        return self.request.replace or self.request.is_in_place


class RetainedState(models.TextChoices):
    """The states of a retained database.

    retained ⇄ busy (a job drops or reverts it) → dropped, or gone: dropped otherwise.
    """

    RETAINED = "kept"
    BUSY = "busy"
    DROPPED = "dropped"
    GONE = "gone"


class RetainedDatabase(models.Model):
    """The database that a restore replaced, or after a revert the restored one.

    `name` is its current name. Identities are those of the servers (`Replacement.identity`): names
    can be given to another database. `successor_identity` is that of the database that has its
    original name. `next_name` is written before a revert: a job that is killed then leaves a record
    of what may have happened.
    """

    TEAM_PATH = "restore__target_server__team"

    restore = models.OneToOneField(Restore, on_delete=models.CASCADE, related_name="kept")
    name = models.CharField(max_length=255)
    identity = models.CharField(max_length=255, blank=True)
    successor_identity = models.CharField(max_length=255, blank=True)
    is_original = models.BooleanField(default=True)
    state = models.CharField(max_length=8, choices=RetainedState, default=RetainedState.RETAINED)
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
                condition=Q(state=RetainedState.RETAINED),
                name="kept_to_be_dropped",
            )
        ]

    def __str__(self) -> str:
        return f"{self.restore.target_server}/{self.name}"
