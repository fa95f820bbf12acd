"""A rich backup in many parts, and restores of some of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.postgresql.backup import plan
from covetbackup.core.databases.selection import Selection
from covetbackup.core.manager import BackupManager
from covetbackup.core.operations.restore import RestoreResult, restore_backup
from covetbackup.core.progress import Progress
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.memory import MemoryStorage
from covetbackup.core.stream.base import Source
from tests.support.doubles import make_keys, make_repository
from tests.support.postgres import PostgresRole, PostgresServer, drop_databases
from tests.support.postgres_backup import Notes, engine_for, fill_richly
from tests.support.restore_requests import request_for

SOURCE, TARGET = "chosen_from", "selected"
Place = tuple[BackupRepository, Keyring]


class Counting(MemoryStorage):
    """Counts the bytes that are asked of it."""

    read = 0

    def open(self, name: str, offset: int = 0, length: int | None = None) -> Source:
        size = self.stat(name).size - offset
        self.read += size if length is None else min(length, size)
        return super().open(name, offset, length)


@contextmanager
def rich_backups(server: PostgresServer, *methods: str) -> Iterator[Place]:
    """A repository with a backup of `SOURCE` for each name; "whole" is one stream."""
    server.create_database(SOURCE)
    fill_richly(server, SOURCE)
    _, keyring = make_keys()
    repository = make_repository(storage=Counting())
    for name in methods:
        back_up(server, (repository, keyring), name, "logical" if name == "whole" else "")
    yield repository, keyring
    drop_databases(server, {SOURCE})


def back_up(server: PostgresServer, place: Place, name: str, method: str = "") -> None:
    """Cut into many parts, large tables as well."""
    manager, password = BackupManager(*place), server.password
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SMALLEST_PART_BYTES", 60_000)
        patch.setattr(plan, "LARGEST_PART_BYTES", 60_000)
        manager.create_backup(server.url(SOURCE), password=password, name=name, method=method)


def restore_part(
    server: PostgresServer,
    place: Place,
    selection: Selection,
    *,
    slug: str = "parts",
    adds: bool = False,
    role: PostgresRole | None = None,
    progress: Progress | None = None,
    **options: object,
) -> RestoreResult:
    repository, keyring = place
    (label,) = repository.labels(slug)
    return restore_backup(
        repository,
        label,
        engine_for(server, role=role),
        request_for(TARGET, jobs=2, selection=selection, into_existing=adds, **options),
        keyring=keyring,
        progress=progress or Notes(),
    )
