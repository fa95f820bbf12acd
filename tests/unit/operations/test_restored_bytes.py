"""What a restore says that it loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import Conflict
from covetbackup.core.operations.restore import PendingCommit, restore_backup
from covetbackup.core.progress import Progress, Silent
from tests.support.doubles import MemoryEngine, make_backup, make_keys, make_repository

MEMBERS = {"a": b"x" * 3000, "b": b"y" * 20}


class Twice(MemoryEngine):
    """Wants everything a second time, as an engine does after a deadlock."""

    @contextmanager
    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> Iterator[Any]:
        with super().restore(request, expected, progress) as session:
            once = session.groups

            def twice(members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
                yield from once(members)
                yield from once(members)

            session.groups = twice  # type: ignore[method-assign]
            yield session


def test_what_is_loaded_again_counts_once() -> None:
    _, keyring = make_keys()
    repository, engine = make_repository(), Twice()
    label = make_backup(repository, MEMBERS, keyring).manifest.label
    request = RestoreRequest("copy")
    result = restore_backup(repository, label, engine, request, keyring=keyring, progress=Silent())
    assert (engine.restored, result.plain_bytes) == (MEMBERS, 3020)


def test_what_is_called_before_the_commit_sees_both_sides_and_can_prevent_it() -> None:
    _, keyring = make_keys()
    repository, engine = make_repository(), MemoryEngine()
    label = make_backup(repository, MEMBERS, keyring).manifest.label
    seen: list[PendingCommit] = []

    def refuse(pending: PendingCommit) -> None:
        assert engine.restored is None
        seen.append(pending)
        raise Conflict("not now")

    with pytest.raises(Conflict, match="not now"):
        restore_backup(
            repository,
            label,
            engine,
            RestoreRequest("copy"),
            keyring=keyring,
            progress=Silent(),
            before_commit=refuse,
        )
    (pending,) = seen
    assert pending.expected == pending.actual and pending.actual.tables
    assert engine.restored is None
