"""Rows for tests: each function makes one row, and what it cannot do without must be given."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from typing import Any

from django.utils import timezone

from backups.models import Backup, BackupCopy, BackupState, CopyState, Database, Repository, Server
from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.jobs.models import Job, JobState, Node
from restores.models import Restore

PASSWORD = "correct horse battery"

_numbers = itertools.count(1)


def make_team(name: str = "") -> Team:
    return Team.objects.create(name=name or f"team {next(_numbers)}")


def make_user(name: str = "", **fields: Any) -> User:
    name = name or f"user{next(_numbers)}"
    fields.setdefault("email", f"{name}@example.com")
    return User.objects.create_user(name, password=PASSWORD, **fields)


def make_member(team: Team, role: Role, name: str = "") -> User:
    user = make_user(name)
    Membership.objects.create(team=team, user=user, role=role)
    return user


def make_server(team: Team, **fields: Any) -> Server:
    """A PostgreSQL server, or with `folder` a folder of SQLite files. Nothing listens there."""
    kind = "sqlite" if fields.get("folder") else "postgresql"
    defaults = {"name": f"server {next(_numbers)}", "kind": kind}
    if kind == "postgresql":
        defaults |= {"host": "db.example.com", "user": "backup", "version": "15.14"}
    return Server.objects.create(team=team, **(defaults | fields))


def make_database(server: Server, **fields: Any) -> Database:
    defaults = {"name": f"database{next(_numbers)}", "is_new": False}
    return Database.objects.create(server=server, **(defaults | fields))


def make_repository_row(team: Team, **fields: Any) -> Repository:
    """A repository in the catalog; its folder does not exist."""
    number = next(_numbers)
    defaults = {
        "name": f"repository {number}",
        "kind": "local",
        "url": f"file:///nonexistent/repository-{number}",
        "engine_id": uuid.uuid4().hex,
    }
    return Repository.objects.create(team=team, **(defaults | fields))


def make_backup_row(
    database: Database, *, repository: Repository | None = None, **fields: Any
) -> Backup:
    """An available backup; with `repository`, one with a stored copy in it."""
    now = timezone.now()
    defaults = {
        "state": BackupState.AVAILABLE,
        "label": f"20260101T000000Z-{next(_numbers):06d}",
        "method": "pg_dump",
        "started_at": now,
        "finished_at": now,
        "consistent_at": now,
        "plain_bytes": 4096,
        "stored_bytes": 1024,
        "table_count": 2,
        "row_count": 10,
    }
    backup = Backup.objects.create(database=database, **(defaults | fields))
    if repository is not None:
        BackupCopy.objects.create(
            backup=backup, repository=repository, state=CopyState.STORED, stored_at=now
        )
    return backup


def make_job(team: Team, **fields: Any) -> Job:
    """A queued job; one said to be running gets the token it must have."""
    defaults: dict[str, Any] = {
        "kind": "backup",
        "title": f"Backup {next(_numbers)}",
        "run_after": timezone.now(),
    }
    if fields.get("state") == JobState.RUNNING:
        defaults |= {"token": uuid.uuid4(), "started_at": timezone.now()}
    return Job.objects.create(team=team, **(defaults | fields))


def make_restore(backup: Backup, server: Server, **fields: Any) -> Restore:
    """A row of a restore; `fields` of the row or of its request."""
    names = {field.name for field in dataclasses.fields(RestoreRequest)}
    asked = {name: fields.pop(name) for name in names & fields.keys()}
    request = RestoreRequest(**{"database": f"restored{next(_numbers)}", "jobs": 1, **asked})
    return Restore.objects.create(backup=backup, target_server=server, request=request, **fields)


def make_worker(queue: str = "jobs", **fields: Any) -> Node:
    """A worker that was heard of just now."""
    now = timezone.now()
    defaults = {"instance": uuid.uuid4(), "host": "here", "pid": 1, "version": "1", "capacity": 4}
    times = {"started_at": now, "heartbeat_at": now}
    return Node.objects.create(queue=queue, **(defaults | times | fields))
