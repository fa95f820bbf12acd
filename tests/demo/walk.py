"""The main job of the project, for one database: back up twice, verify, restore, compare."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.manager import BackupManager, RestoreManager
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.core.repository.repository import BackupRepository
from tests.demo.databases import SampleDatabase
from tests.demo.digests import differences

ORIGINAL = "shop"
RESTORED = "shop restored"


@dataclass(frozen=True, slots=True)
class Places:
    """Two repositories with the keys to write, and the one to restore from with its keys."""

    local: BackupRepository
    s3: BackupRepository
    working: Keyring
    restore_from: BackupRepository
    restore_with: Keyring


@dataclass(slots=True)
class Result:
    """What became of one database; `faults` are in words, empty if all is well."""

    kind: str
    tables: int = 0
    rows: int = 0
    plain_bytes: int = 0
    stored_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def walk(database: SampleDatabase, places: Places) -> Result:
    """Raises `CovetError` when a step fails; differences and faults are in the result."""
    result = Result(database.kind)
    with _timed(result, "fill"):
        database.fill(ORIGINAL)
    before = database.digests(ORIGINAL)
    with _timed(result, "backup"):
        label = _back_up(database, places, result)
    with _timed(result, "verify"):
        for repository in (places.local, places.s3):
            _verify(repository, label, places.working, result)
    with _timed(result, "restore"):
        RestoreManager(places.restore_from, places.restore_with).restore_backup(
            label, database.address(RESTORED), password=database.password
        )
    with _timed(result, "compare"):
        after = database.digests(RESTORED)
    result.tables = sum(1 for name in after if not name.startswith("("))
    result.rows = sum(found.rows for name, found in after.items() if not name.startswith("("))
    result.faults += differences(before, after)
    return result


def _back_up(database: SampleDatabase, places: Places, result: Result) -> str:
    manager = BackupManager(places.local, places.working)
    taken = manager.create_backup(
        database.address(ORIGINAL),
        password=database.password,
        codec="zstd:3",
        cipher="aes-256-gcm",
        also=[places.s3],
    )
    result.plain_bytes = taken.manifest.opened.plain_size
    result.stored_bytes = taken.manifest.stored_size
    result.faults += [f"not stored in {name}: {why}" for name, why in taken.failures.items()]
    return str(taken.manifest.label)


def _verify(repository: BackupRepository, label: str, keyring: Keyring, result: Result) -> None:
    verdict = BackupManager(repository, keyring).verify_backup(label, VerifyLevel.CONTENT)
    result.faults += [f"{found.where}: {found.error}" for found in verdict.findings]
    result.faults += verdict.warnings


@contextmanager
def _timed(result: Result, step: str) -> Iterator[None]:
    print(f"{result.kind}: {step}", flush=True)
    began = time.perf_counter()
    yield
    result.seconds[step] = time.perf_counter() - began
