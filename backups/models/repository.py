"""Repositories of backups, and encryption keys."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from covetbackup.access.models import Team, TeamQuerySet


class RepositoryKind(models.TextChoices):
    """The kinds of storage of a repository."""

    LOCAL = "local", "Local folder"
    S3 = "s3", "S3 or compatible"


class Repository(models.Model):
    """A storage that holds backups.

    `url` is the engine's (`file:///…`, `s3://…?endpoint=…`); `credentials` are encrypted.
    `engine_id` is the id in its marker object.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="repositories")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=RepositoryKind)
    url = models.CharField(max_length=1000)
    credentials = models.TextField(blank=True, editable=False)
    engine_id = models.CharField(max_length=32, blank=True, editable=False)
    is_default = models.BooleanField(default=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    problem = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "repositories"
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="repository_name_in_team"),
            models.UniqueConstraint(fields=["team", "url"], name="repository_url_in_team"),
            models.UniqueConstraint(
                fields=["team"],
                condition=Q(is_default=True),
                name="one_default_repository_in_team",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class KeyState(models.TextChoices):
    """The states of a key."""

    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt-only"
    RETIRED = "retired"


class EncryptionKey(models.Model):
    """A key of the team.

    `public` is its public line or id, `secret` its encrypted key line, empty when only the public
    key is stored. `key_id` is the engine's.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=100)
    key_id = models.CharField(max_length=64, editable=False)
    kind = models.CharField(max_length=16, editable=False)
    public = models.CharField(max_length=200, blank=True, editable=False)
    secret = models.TextField(blank=True, editable=False)
    state = models.CharField(max_length=16, choices=KeyState, default=KeyState.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = [
            models.UniqueConstraint(fields=["team", "key_id"], name="key_once_in_team"),
            models.UniqueConstraint(fields=["team", "name"], name="key_name_in_team"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})"
