"""Schedules of backups, and retention policies."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from backups.cron import check_cron
from backups.models.source import Database
from covetbackup.access.models import Team, TeamQuerySet


class RetentionPolicy(models.Model):
    """The numbers of backups of each age that are retained.

    A number of 0 switches a rule off. At least one rule is on.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="retention_policies")
    name = models.CharField(max_length=100)
    keep_last = models.PositiveIntegerField(default=3)
    keep_daily = models.PositiveIntegerField(default=7)
    keep_weekly = models.PositiveIntegerField(default=4)
    keep_monthly = models.PositiveIntegerField(default=12)
    keep_yearly = models.PositiveIntegerField(default=0)
    keep_days = models.PositiveIntegerField(default=0)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "retention policies"
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="retention_name_in_team"),
            models.CheckConstraint(
                condition=Q(keep_last__gt=0)
                | Q(keep_daily__gt=0)
                | Q(keep_weekly__gt=0)
                | Q(keep_monthly__gt=0)
                | Q(keep_yearly__gt=0)
                | Q(keep_days__gt=0),
                name="retention_keeps_something",
            ),
        ]

    def __str__(self) -> str:
        return self.name


def validate_cron(text: str) -> None:
    """Raise `ValidationError` for an invalid cron expression."""
    try:
        check_cron(text)
    except ValueError as error:
        raise ValidationError(f"Not a possible cron expression: {error}.") from error


def validate_time_zone(name: str) -> None:
    """Raise `ValidationError` for what is no IANA time zone."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError("Not a time zone, such as Europe/Berlin or UTC.")


class Schedule(models.Model):
    """A schedule of backups: a cron expression in an IANA time zone.

    Nothing acts on schedules yet, so no page offers them; what is stored must be valid all the
    same.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="schedules")
    name = models.CharField(max_length=100)
    cron = models.CharField(max_length=100, validators=[validate_cron])
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    is_enabled = models.BooleanField(default=True)
    databases = models.ManyToManyField(Database, related_name="schedules", blank=True)
    retention = models.ForeignKey(
        RetentionPolicy, null=True, blank=True, on_delete=models.PROTECT, related_name="schedules"
    )

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="schedule_name_in_team")
        ]

    def __str__(self) -> str:
        return self.name
