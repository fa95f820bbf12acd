"""Repositories, databases and jobs that can really be used in a test."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from django.utils import timezone

from backups.models import Backup, Repository, Server
from backups.onboarding import add_repository, save_server
from covetbackup.access.models import Team
from covetbackup.core.errors import Cancelled
from covetbackup.jobs.models import Job
from tests.support.postgres import PostgresRole, PostgresServer
from tests.web.factories import make_server


def make_repository(team: Team, folder: Path, *, is_default: bool = False) -> Repository:
    row = Repository(team=team, name=folder.name, url=f"file://{folder}", is_default=is_default)
    return add_repository(row, None)


def make_file(path: Path, *, rows: int = 500) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
        values = [(number, f"item {number} " * 20) for number in range(rows)]
        connection.executemany("INSERT INTO item VALUES (?, ?)", values)
        connection.commit()
    return path


def folder_of(repository: Repository) -> Path:
    return Path(repository.url.removeprefix("file://"))


def stored_files(repository: Repository) -> list[str]:
    """Names of all files of backups in a local repository, unfinished ones too."""
    top = folder_of(repository)
    found = [path for part in ("b", "keys-mirror") for path in (top / part).rglob("*")]
    return sorted(str(path.relative_to(top)) for path in found if path.is_file())


@dataclass
class FakeWork:
    """One attempt at a job, run by the test itself. Cancels at the phase `cancel_at`."""

    job: Job
    attempt: int = 1
    cancel_at: str = ""
    confirmed: int = 0
    phases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def argument(self) -> dict[str, str]:
        return self.job.argument

    @property
    def progress(self) -> FakeWork:
        return self

    def phase(self, name: str, total: int | None = None) -> None:
        self.phases.append(name)
        if self.cancel_at and name.startswith(self.cancel_at):
            raise Cancelled("asked to stop")

    def advance(self, count: int) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def confirm(self) -> None:
        self.confirmed += 1


def end(job: Job, state: str, error: str = "") -> Job:
    """The job as its supervisor leaves it."""
    job.state, job.error, job.finished_at = state, error, timezone.now()
    job.save()
    return job


def reload(backup: Backup) -> Backup:
    return Backup.objects.get(pk=backup.pk)


def sqlite_server(team: Team, folder: Path, **fields: object) -> Server:
    folder.mkdir(exist_ok=True)
    return make_server(team, folder=str(folder), **fields)


def postgres_at(team: Team, postgres: PostgresServer, role: PostgresRole | None = None) -> Server:
    """The test server in the catalog, with its password sealed."""
    server = make_server(
        team,
        host="127.0.0.1",
        port=postgres.port,
        user=role.name if role else "postgres",
        sslmode="disable",
    )
    password = role.password if role else postgres.password
    return save_server(server, password.reveal())
