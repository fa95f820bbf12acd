"""Users, teams and memberships, and the one way to ask what a user may see."""

from __future__ import annotations

from typing import Any, Self

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import models
from django.db.models.lookups import In
from django.utils.functional import cached_property

from covetbackup.access.roles import PERMISSIONS, Permission, Role, roles_with
from covetbackup.paging import unindexed


class Theme(models.TextChoices):
    """The themes of the pages."""

    AUTO = "auto", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class User(AbstractUser):
    """A user. `time_zone` is an IANA name, "" for the installation's."""

    time_zone = models.CharField(max_length=64, blank=True)
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.AUTO)

    @cached_property
    def roles(self) -> dict[int, Role]:
        """The user's role in each team, by the team's id, as of the first look at this object."""
        return {team: Role(role) for team, role in self.memberships.values_list("team", "role")}

    def teams_with(self, permission: Permission) -> models.QuerySet[Team]:
        """Teams in which this user's role has `permission`."""
        return Team.objects.filter(
            memberships__user=self, memberships__role__in=roles_with(permission)
        )

    def may(self, permission: Permission, team_id: int) -> bool:
        """Return whether this user's role in the team has `permission`."""
        role = self.roles.get(team_id)
        return self.is_active and role is not None and permission in PERMISSIONS[role]

    def may_anywhere(self, permission: Permission) -> bool:
        """Return whether there is any team in which this user has `permission`."""
        return any(self.may(permission, team_id) for team_id in self.roles)


class Team(models.Model):
    """Everything in the catalog belongs to one team."""

    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="teams"
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One user's role in one team."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "team"], name="one_role_for_each_team"),
            models.CheckConstraint(
                condition=models.Q(role__in=[role.value for role in Role]), name="role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} of {self.team}"


class TeamQuerySet(models.QuerySet[Any]):
    """A queryset of things that belong to a team, at the lookup path `team_path`."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return the rows that `user` may view; for all others a page answers 404."""
        return self.permitted(user, Permission.VIEW)

    def listed_for(self, user: User) -> Self:
        """Return the rows of `visible_to` by a query that reads an index in its own order.

        Rows of one team are read from an index that begins with the team, of several by passing
        over those of others. Joined with the teams, all of 200 000 rows are sorted first.
        """
        if not user.is_active:
            return self.none()
        teams = list(user.teams_with(Permission.VIEW).order_by().values_list("pk", flat=True))
        path: str = getattr(self.model, "TEAM_PATH", "team")
        if len(teams) == 1:
            return self.filter(**{path: teams[0]})
        return self.filter(In(unindexed(f"{path}_id"), teams))

    def permitted(self, user: User | AnonymousUser, permission: Permission) -> Self:
        """Return the rows that `user` has `permission` for."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        path: str = getattr(self.model, "TEAM_PATH", "team")
        lookup: dict[str, Any] = {f"{path}__in": user.teams_with(permission)}
        return self.filter(**lookup)


class Throttle(models.Model):
    """Failed tries of one account, address or device: see `access.throttle`."""

    key = models.CharField(max_length=80, primary_key=True)
    failures = models.IntegerField(default=0)
    failed_at = models.DateTimeField()
    wait_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key}: {self.failures}"
