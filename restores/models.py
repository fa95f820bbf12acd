"""One row for each restore that was asked for, with what came of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from backups.models import Backup, Repository, Server
from covetbackup.access.models import TeamQuerySet
from covetbackup.jobs.models import Job


class Restore(models.Model):
    """A restore of one backup into a new database on a server. Its state is its job's."""

    TEAM_PATH = "target_server__team"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="restores")
    repository = models.ForeignKey(
        Repository, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    target_server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="restores")
    target_name = models.CharField(max_length=255)
    owner = models.CharField(max_length=63, default="keep")
    jobs = models.PositiveIntegerField(default=1)
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
        return f"restore of {self.backup} as {self.target_server}/{self.target_name}"
