"""Sources of backups: servers and the databases found on them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from covetbackup.access.models import Team, TeamQuerySet
from covetbackup.core.databases.registry import kind_titles


class Server(models.Model):
    """One connection: a server at `host`, or a folder of SQLite files (`folder`).

    `password` is encrypted (`backups.secrets`) and must be typed again when where it goes changes,
    or an editor could point it at a server of his own. `authority` holds the certificates, in
    PEM, that must have signed the server's. `queue` names the workers that can reach it.
    `problem` is what the last attempt to use it found; `is_unreachable` says that no connection
    was to be had.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="servers")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=kind_titles)
    host = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(default=5432)
    user = models.CharField(max_length=63, blank=True)
    password = models.TextField(blank=True, editable=False)
    maintenance_database = models.CharField(max_length=63, default="postgres", blank=True)
    sslmode = models.CharField(max_length=16, default="prefer")
    authority = models.TextField(blank=True)
    folder = models.CharField(max_length=1000, blank=True)
    include = models.TextField(blank=True, help_text="Patterns, one a line; none means all")
    exclude = models.TextField(blank=True, help_text="Patterns, one a line")
    queue = models.CharField(max_length=64, default="jobs")
    version = models.CharField(max_length=64, blank=True)
    checked_at = models.DateTimeField(null=True, editable=False)
    problem = models.TextField(blank=True, editable=False)
    is_unreachable = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="server_name_in_team"),
            models.CheckConstraint(
                condition=(Q(host="") & ~Q(folder="")) | (Q(folder="") & ~Q(host="")),
                name="server_is_a_host_or_a_folder",
            ),
            models.CheckConstraint(condition=Q(port__range=(1, 65535)), name="port_is_possible"),
        ]

    def __str__(self) -> str:
        return self.name


class DatabaseState(models.TextChoices):
    """The states of a database: on its server at the last discovery, or gone."""

    PRESENT = "present"
    GONE = "gone"


class Inclusion(models.TextChoices):
    """Whether the server's patterns or a user decide that a database is backed up."""

    BY_PATTERNS = "", "By the server's patterns"
    INCLUDED = "included", "Always included"
    EXCLUDED = "excluded", "Excluded"


class Database(models.Model):
    """One database in a server. One that was dropped stays, as gone, with its backups.

    `is_included` follows from `inclusion` and the server's patterns (`backups.discovery`).
    `is_restored_copy`: a restore made it, under a name that had no backups.
    """

    TEAM_PATH = "server__team"

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="databases")
    name = models.CharField(max_length=255)
    state = models.CharField(
        max_length=8, choices=DatabaseState, default=DatabaseState.PRESENT, editable=False
    )
    inclusion = models.CharField(
        max_length=8, choices=Inclusion, default=Inclusion.BY_PATTERNS, blank=True
    )
    is_included = models.BooleanField(default=True, editable=False)
    is_restored_copy = models.BooleanField(default=False, editable=False)
    is_new = models.BooleanField(default=True, help_text="Found, and not reviewed yet")
    size_bytes = models.BigIntegerField(null=True, editable=False)
    tags = models.JSONField(default=list, blank=True)
    found_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, editable=False)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["server", "name"], name="database_name_in_server")
        ]

    def __str__(self) -> str:
        return f"{self.server}/{self.name}"
