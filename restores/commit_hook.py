"""An engine whose restores tell somebody before their last step, the one that makes them real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSession,
    Engine,
    MemberRange,
    PartialRestore,
    Probe,
    RestoreOptions,
    RestoreSession,
    VerifiableCommit,
    restore_notes,
)
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Sink

Announce = Callable[[Inventory, Inventory, str, str], None]
"""Called with what the backup holds, what the target holds, what the replaced database will be
called, and by what the engine can be asked later whether all this came about, "" if it cannot; may
raise to prevent the rest."""


class Announcing:
    """An `Engine` around another."""

    def __init__(self, engine: Engine, announce: Announce) -> None:
        self.kind = engine.kind
        self._engine = engine
        self._announce = announce

    def probe(self) -> Probe:
        return self._engine.probe()

    def backup(
        self, options: BackupOptions, progress: Progress
    ) -> AbstractContextManager[BackupSession]:
        return self._engine.backup(options, progress)

    def check(self, member: str) -> Filter | None:
        return self._engine.check(member)

    @contextmanager
    def restore(self, options: RestoreOptions, progress: Progress) -> Iterator[RestoreSession]:
        with self._engine.restore(options, progress) as session:
            yield _Session(session, options.expected, self._announce)


class _Session:
    def __init__(self, session: RestoreSession, expected: Inventory, announce: Announce) -> None:
        self._session = session
        self.retained_as = session.retained_as
        self._expected = expected
        self._announce = announce
        self._found = Inventory()

    @property
    def notes(self) -> Sequence[str]:
        return restore_notes(self._session)

    @property
    def chosen(self) -> ResolvedSelection | None:
        return self._session.chosen

    def required(self, expected: Inventory) -> Inventory:
        if not isinstance(self._session, PartialRestore):
            return expected
        return self._session.required(expected)

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        return self._session.groups(members)

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        return self._session.sink(piece, progress)

    def inventory(self) -> Inventory:
        self._found = self._session.inventory()
        return self._found

    def commit(self) -> None:
        trace = self._session.trace() if isinstance(self._session, VerifiableCommit) else ""
        self._announce(self._expected, self._found, self.retained_as, trace)
        self._session.commit()
