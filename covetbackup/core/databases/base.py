"""The contract between operations and database kinds.

A backup is 1..n named streams (members) taken from one snapshot. A restore writes the members to
a scratch target that becomes the real one at `commit` and leaves no trace otherwise. Members come
in groups: those of one group may be read, or written, at once, each in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from covetbackup.core.databases.checks import Check
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.restore_target import Replacement, RestoreTarget
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.databases.server import Discovered, ServerProbe
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Sink, Source


@dataclass(frozen=True, slots=True)
class Span:
    """The moment, or range, that a backup covers.

    Positions are in the engine's own notation (an LSN, a GTID set), "" where the engine has none;
    times are aware UTC.
    """

    start_position: str
    stop_position: str
    branch: str
    started_at: datetime
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """One stream of a backup. `size_hint` is its expected plain size in bytes, for progress.

    An empty stream is a failed dump unless it `may_be_empty`.
    """

    name: str
    source: Source
    size_hint: int | None = None
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class MemberRange:
    """A member of a backup, or a range of its plain bytes: `length` bytes from `offset` on."""

    member: str
    offset: int = 0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The kind, versions, name and size of an engine's source."""

    kind: str
    server_version: str
    tool_version: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """The result of a finished backup session: proof of completeness for the manifest."""

    span: Span
    inventory: Inventory
    probe: Probe
    method: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """The options of a backup.

    `method` is one of the engine's, "" for its default; `streams` is how many members may be read
    at once.
    """

    method: str = ""
    streams: int = 1


class BackupSession(Protocol):
    """One snapshot of a database being read. Leaving its context early releases everything."""

    def groups(self) -> Iterator[Sequence[Member]]:
        """Yield the members in stored order, each group when the one before it is stored."""

    def finish(self) -> BackupSummary:
        """Prove completeness after the last member. Raises `Incomplete` or `Unreadable`."""


class RestoreSession(Protocol):
    """A scratch target being filled. Leaving its context without `commit` removes it.

    `retained_as` is the name of the replaced database after the commit, "" if none is replaced.
    `resolved` is known when all is written, and None if all is restored.
    """

    retained_as: str

    @property
    def resolved(self) -> ResolvedSelection | None:
        """The selection with its dependencies."""

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        """Yield what is needed of the backup, in the order in which it is needed.

        `members` are those of the backup in stored order with their plain sizes in bytes. A group
        is requested when the one before it is written.
        """

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        """Return the sink for the plain bytes of `piece`.

        Called in the thread that will write them, whose `progress` it is: a sink that waits calls
        its `advance(0)`, or others of its group that fail or are cancelled would wait for it for
        ever.
        """

    def inventory(self) -> Inventory:
        """Return the inventory of the scratch target as it is now.

        All row counts are exact where the backup's may be.
        """

    def commit(self) -> None:
        """Make the scratch target the real one.

        Raises `TargetNotEmpty`, `DatabaseError`. With `replace` this is one step: a process that is
        killed at any moment leaves either the old database in its place, open to all, or the new
        one there and the old one retained.
        """


@runtime_checkable
class VerifiableCommit(Protocol):
    """A `RestoreSession` whose server can tell later whether its transaction was committed."""

    def commit_id(self) -> str:
        """Return the server's identifier of the transaction. Called right before the commit."""


@runtime_checkable
class NotedRestore(Protocol):
    """A `RestoreSession` with notes about the database that it restored.

    A note says what differs from the backup, and what to do about it. The notes are complete when
    the commit has returned, or without one when the target is filled.
    """

    @property
    def notes(self) -> Sequence[str]:
        """The notes, a line each, for the result of the restore."""


def restore_notes(session: RestoreSession) -> tuple[str, ...]:
    """Return the notes of `session`; none if it is no `NotedRestore`."""
    return tuple(session.notes) if isinstance(session, NotedRestore) else ()


def unremoved(session: RestoreSession) -> str:
    """Return what a session that has ended could not remove, and why; "" for nothing."""
    return str(getattr(session, "unremoved", ""))


@runtime_checkable
class PartialRestore(Protocol):
    """A `RestoreSession` that may omit objects: by request, or if the target cannot have them."""

    def required(self, expected: Inventory) -> Inventory:
        """Return the part of `expected` that the target must hold; its `notes` name the rest."""


def required_inventory(session: RestoreSession, expected: Inventory) -> Inventory:
    """Return what of the backup's inventory `expected` the target of `session` must hold."""
    resolved = session.resolved.restrict(expected) if session.resolved else expected
    return session.required(resolved) if isinstance(session, PartialRestore) else resolved


class Engine(Protocol):
    """One database of one kind, reachable from here."""

    kind: str

    def probe(self) -> Probe:
        """Return the kind, versions, name and size of the source.

        Raises `DatabaseUnavailable`, `ToolMissing`, `ToolTooOld`.
        """

    def probe_server(self, is_included: Callable[[str], bool], catalog: str) -> ServerProbe:
        """Test the connection to the server of this engine, or open the files of the folder.

        Returns which databases can be backed up, of those for which `is_included` returns True, and
        what is missing. `catalog` is the location of the dashboard's own catalog, "" if there is
        none: it is named if it is on the server. Raises `DatabaseUnavailable`, `BadSetting`.
        """

    def discover(self) -> Discovered:
        """Return the databases of this engine's server, or the files of the folder.

        Raises `DatabaseUnavailable`, `BadSetting`.
        """

    def backup(
        self, options: BackupOptions, progress: Progress
    ) -> AbstractContextManager[BackupSession]:
        """Return a context in which one snapshot of the database is read.

        Raises `BadSetting` for options that the kind does not have, and what `probe` raises.
        """

    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> AbstractContextManager[RestoreSession]:
        """Return a context with a scratch target for a backup whose inventory is `expected`.

        Raises `BadSetting` for what the kind cannot do, `TargetNotEmpty` if the target exists and
        the request does not say so, and `BadSetting` if it says so and the target does not exist.
        """

    def check_restore(self, planned: PlannedRestore) -> list[Check]:
        """Return the checks of the target in the order in which a restore would meet them.

        The target is a database on the server of this engine, or a file in the folder of its file.
        A server that does not answer is a check that failed.
        """

    def target(self) -> RestoreTarget:
        """Return the server of this engine, or the folder of its file, as a restore's target."""

    def replacement(self) -> Replacement:
        """Return how databases of this engine's server, or files of the folder, are replaced."""

    def check(self, member: str) -> Filter | None:
        """Return a filter that checks a member as it passes through, None if it has no check.

        It raises `Incomplete` at the end when the engine's own end mark or structure is missing.
        """


def one_by_one(members: Iterable[str]) -> Iterator[Sequence[MemberRange]]:
    """Yield each of `members` as a group of its own."""
    for member in members:
        yield (MemberRange(member),)
