"""Entries of the audit log, one for each action and denied attempt. Rows are only added."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from covetbackup.access.models import Team, TeamQuerySet
from covetbackup.audit.actions import title_of


class Outcome(models.TextChoices):
    """The outcomes of an action."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"


class AuditEntry(models.Model):
    """An entry: `digest` is over all fields and the `previous` digest; `sequence` has no gaps."""

    sequence = models.BigIntegerField(unique=True)
    at = models.DateTimeField()
    team = models.ForeignKey(Team, null=True, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    object_kind = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=300, blank=True)
    outcome = models.CharField(max_length=8, choices=Outcome)
    address = models.CharField(max_length=45, blank=True)
    via = models.CharField(max_length=8)
    details = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("-sequence",)
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["team", "-sequence"], name="audit_of_team")]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.actor} {self.action} {self.object_name} {self.outcome}"

    @property
    def action_title(self) -> str:
        """The title of the action, as pages show it."""
        return title_of(self.action)
