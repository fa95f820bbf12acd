"""How many connections load a backup when nobody says how many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backups.models import Backup
from covetbackup.access.models import Team, User
from covetbackup.core.databases.base import RestoreSession
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.backup import session as mysql
from covetbackup.core.databases.postgresql.backup import parallel as parts, single_stream
from covetbackup.core.databases.registry import default_jobs
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.operations.restore import restore_backup
from covetbackup.core.progress import Progress, Silent
from restores.management.commands import restore as command
from restores.models import Restore
from tests.support.doubles import MemoryEngine, make_backup, make_keys, make_repository
from tests.web.conftest import ClientOf
from tests.web.restores.test_into_existing_pages import row_of
from tests.web.restores.test_restore_command import told

KINDS = [
    ("postgresql", parts.METHOD, 2),
    ("postgresql", single_stream.METHOD, 1),
    ("mysql", mysql.METHOD, 2),
    ("sqlite", "backup", 1),
]


@pytest.mark.parametrize(("kind", "method", "jobs"), KINDS)
def test_two_load_what_is_stored_in_parts_and_one_what_would_take_staging(
    kind: str, method: str, jobs: int
) -> None:
    assert default_jobs(kind, method) == jobs


class Noting(MemoryEngine):
    """Remembers what restores asked for."""

    asked: tuple[int, ...] = ()

    @contextmanager
    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> Iterator[RestoreSession]:
        self.asked += (request.jobs,)
        with super().restore(request, expected, progress) as session:
            yield session


@pytest.mark.parametrize(("asked", "jobs"), [(None, 2), (1, 1), (3, 3)])
def test_a_restore_takes_as_many_unless_somebody_says(
    asked: int | None, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("covetbackup.core.operations.restore.default_jobs", lambda kind, method: 2)
    repository, (_, keyring), engine = make_repository(), make_keys(), Noting()
    label = make_backup([repository], {"a": b"1", "b": b"2"}, keyring).manifest.label
    request = RestoreRequest("anywhere", jobs=asked)
    restore_backup(repository, label, engine, request, keyring=keyring, progress=Silent())
    assert engine.asked == (jobs,)


def in_form(client: Client, backup: Backup) -> Any:
    page = client.get(reverse("restore-start", args=[backup.pk]))
    return page.context["form"]["jobs"].value()


@pytest.mark.parametrize(("kind", "method", "jobs"), KINDS[:3])
def test_the_page_and_the_command_begin_with_as_many(
    kind: str,
    method: str,
    jobs: int,
    client_of: ClientOf,
    operator: User,
    team: Team,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backup, plans = row_of(team, kind=kind), list[Restore]()
    Backup.objects.filter(pk=backup.pk).update(method=method)
    assert in_form(client_of(operator), backup) == jobs
    monkeypatch.setattr(command, "preflight", lambda plan: plans.append(plan) or [])
    told(str(backup.pk), "--as", "copy", "--check")
    told(str(backup.pk), "--as", "copy", "--check", "--jobs", "3")
    assert [plan.request.jobs for plan in plans] == [jobs, 3]
