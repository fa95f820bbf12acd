"""Backups, their copies, and holds that keep them from being removed."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Case, Q, When
from django.utils import timezone

from backups.models.repository import Repository
from backups.models.source import Database
from covetbackup.access.models import TeamQuerySet
from covetbackup.jobs.models import Job


class BackupState(models.TextChoices):
    """The states of a backup.

    pending → available | degraded | failed | cancelled | interrupted → expiring → (row deleted). A
    row that history refers to, a restore for example, cannot be deleted: it stays as removed.
    """

    PENDING = "pending"
    AVAILABLE = "available"
    DEGRADED = "degraded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    EXPIRING = "expiring"
    REMOVED = "removed"


RESTORABLE_STATES = (BackupState.AVAILABLE, BackupState.DEGRADED)
FAILED_STATES = (BackupState.FAILED, BackupState.INTERRUPTED)
"""Nothing can be restored, and nobody wanted that."""
UNUSABLE_STATES = (*FAILED_STATES, BackupState.CANCELLED)


class Backup(models.Model):
    """One backup of one database: what its manifest says, and what the catalog adds.

    Degraded: at least one copy is stored and one is not.
    """

    TEAM_PATH = "database__server__team"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    database = models.ForeignKey(Database, on_delete=models.PROTECT, related_name="backups")
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="backups")
    state = models.CharField(max_length=12, choices=BackupState, default=BackupState.PENDING)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    label = models.CharField(max_length=120, blank=True)
    method = models.CharField(max_length=32, blank=True)
    codec = models.CharField(max_length=16, default="zstd:3")
    cipher = models.CharField(max_length=32, default="aes-256-gcm")
    server_version = models.CharField(max_length=64, blank=True)
    tool_version = models.CharField(max_length=64, blank=True)
    position = models.CharField(max_length=64, blank=True)
    consistent_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    plain_bytes = models.BigIntegerField(null=True)
    stored_bytes = models.BigIntegerField(null=True)
    table_count = models.IntegerField(null=True)
    row_count = models.BigIntegerField(null=True)
    phases = models.JSONField(default=list)
    inventory = models.JSONField(default=dict)
    warnings = models.JSONField(default=list)
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    hint = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    note = models.TextField(blank=True)
    is_annotated = models.GeneratedField(
        expression=Case(When(note="", tags=[], then=False), default=True),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    is_pinned = models.BooleanField(default=False)
    verified_at = models.DateTimeField(null=True)
    verified_level = models.CharField(max_length=12, blank=True)
    verify_problem = models.TextField(blank=True)
    proved_at = models.DateTimeField(null=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        # Each order has an index with all that decides whether a row is in a list (see
        # `backups.listing`), and what few rows have one of those rows alone.
        indexes = [
            models.Index(fields=["database", "-created_at", "-id"], name="backup_of_database"),
            models.Index(fields=["-created_at", "-id", "state", "database"], name="backup_newest"),
            models.Index(
                fields=["state", "-created_at", "-id", "database"], name="backup_by_state"
            ),
            models.Index(
                fields=["-stored_bytes", "-id", "state", "database", "created_at"],
                name="backup_by_size",
            ),
            models.Index(fields=["label"], name="backup_by_label"),
            models.Index(
                fields=["-created_at", "-id"],
                name="backup_pinned",
                condition=Q(is_pinned=True),
            ),
            models.Index(
                fields=["-created_at", "-id", "state", "database"],
                name="backup_unverified",
                condition=Q(verified_at=None),
            ),
            models.Index(
                fields=["-created_at", "-id"],
                name="backup_annotated",
                condition=Q(is_annotated=True),
            ),
            # Holds all that the totals need: rows with their inventories are not read for them.
            models.Index(
                fields=[
                    "state",
                    "database",
                    "plain_bytes",
                    "stored_bytes",
                    "consistent_at",
                    "cipher",
                ],
                name="backup_totals",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["database", "label"], condition=~Q(label=""), name="backup_label_once"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=RESTORABLE_STATES) | ~Q(label=""),
                name="a_restorable_backup_has_a_label",
            ),
        ]

    def __str__(self) -> str:
        return self.label or f"backup of {self.database}"

    @property
    def ratio(self) -> float | None:
        """Plain bytes for each stored byte."""
        if not self.stored_bytes or self.plain_bytes is None:
            return None
        return self.plain_bytes / self.stored_bytes

    @property
    def is_restorable(self) -> bool:
        """Whether the backup can be restored."""
        return self.state in RESTORABLE_STATES


class CopyState(models.TextChoices):
    """The states of a copy: pending → stored → verified | missing | corrupt → removing."""

    PENDING = "pending"
    STORED = "stored"
    VERIFIED = "verified"
    MISSING = "missing"
    CORRUPT = "corrupt"
    REMOVING = "removing"
    FAILED = "failed"


class BackupCopy(models.Model):
    """One backup in one repository. `job` is the last that was to make it from another copy."""

    backup = models.ForeignKey(Backup, on_delete=models.CASCADE, related_name="copies")
    repository = models.ForeignKey(Repository, on_delete=models.PROTECT, related_name="copies")
    state = models.CharField(max_length=12, choices=CopyState, default=CopyState.PENDING)
    stored_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="copies")

    class Meta:
        verbose_name_plural = "backup copies"
        constraints = [
            models.UniqueConstraint(fields=["backup", "repository"], name="one_copy_a_repository")
        ]
        indexes = [
            models.Index(fields=["repository", "state"], name="copies_by_state"),
            models.Index(fields=["repository", "stored_at"], name="copies_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.backup} in {self.repository}"


class Hold(models.Model):
    """A hold on a backup: while it exists the backup is not removed."""

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="holds")
    reason = models.CharField(max_length=200)
    job = models.ForeignKey(
        Job, null=True, blank=True, on_delete=models.CASCADE, related_name="holds"
    )
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    placed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"hold on {self.backup}: {self.reason}"
