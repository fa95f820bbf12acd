"""The small world that the access matrix walks in: one team with one of everything.

An attribute is made when it is first asked for. A row of the matrix names the attribute whose
primary key its address takes; one that needs several arguments names an attribute with a tuple.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from backups.models import Backup, Database, Repository, Server
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.access.set_up import set_up_link
from covetbackup.jobs.models import Job
from restores.models import Restore, RetainedDatabase
from tests.web import factories

PERSONAS = ("anonymous", "stranger", "viewer", "operator", "admin", "owner")


class World:
    """Everything belongs to `team`; the stranger owns another team and sees none of it."""

    def __init__(self) -> None:
        self.team: Team = factories.make_team("crew")
        other_team = factories.make_team("others")
        self.users: dict[str, User | AnonymousUser] = {
            "anonymous": AnonymousUser(),
            "stranger": factories.make_member(other_team, Role.OWNER, "stan"),
        }
        for role in Role:
            self.users[role] = factories.make_member(self.team, role, f"{role}-of-crew")

    def arguments(self, what: str) -> tuple[Any, ...]:
        """What the address called for by a row takes: nothing, one primary key, or a tuple."""
        value: Any = getattr(self, what) if what else ()
        return (value.pk,) if isinstance(value, models.Model) else value

    @cached_property
    def set_up_token(self) -> tuple[str]:
        """A good one, but there are users already."""
        return (set_up_link().rstrip("/").rsplit("/", 1)[-1],)

    @cached_property
    def wrong_link(self) -> tuple[str, str]:
        return ("MQ", "wrong")

    @cached_property
    def membership(self) -> Membership:
        """Of a fifth user, whom nothing else depends on."""
        user = factories.make_member(self.team, Role.VIEWER, "leaver")
        return Membership.objects.get(user=user)

    @cached_property
    def server(self) -> Server:
        """Nothing listens there: connecting is refused at once."""
        return factories.make_server(self.team, host="127.0.0.1", port=1)

    @cached_property
    def database(self) -> Database:
        return factories.make_database(self.server)

    @cached_property
    def repository(self) -> Repository:
        return factories.make_repository_row(self.team)

    @cached_property
    def backup(self) -> Backup:
        return factories.make_backup_row(self.database, repository=self.repository)

    @cached_property
    def job(self) -> Job:
        return factories.make_job(self.team)

    @cached_property
    def restore(self) -> Restore:
        job = factories.make_job(self.team, kind="restore")
        return factories.make_restore(self.backup, self.server, job=job)

    @cached_property
    def kept(self) -> Restore:
        """It replaced the database shop, which is kept."""
        restore = factories.make_restore(self.backup, self.server, database="shop", replace=True)
        RetainedDatabase.objects.create(restore=restore, name="shop_kept", kept_at=timezone.now())
        return restore
