"""Restore into an existing database: the scratch target is an open transaction in it.

One connection does all of it, as there is one transaction; whatever ends it before the commit
undoes everything. A second one is idle and serves as liveness probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import Protocol, TypeVar

import psycopg

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import Entry, TableOfContents
from covetbackup.core.databases.postgresql.archive.listing import listing_member
from covetbackup.core.databases.postgresql.archive.member_names import HEAD
from covetbackup.core.databases.postgresql.archive.offsets import PartOffsets
from covetbackup.core.databases.postgresql.archive.omitted import expected_without
from covetbackup.core.databases.postgresql.archive.partitioned_indexes import invalid_index_notes
from covetbackup.core.databases.postgresql.backup.session import GLOBALS
from covetbackup.core.databases.postgresql.inventory.search_paths import paths_of
from covetbackup.core.databases.postgresql.restore import check_server
from covetbackup.core.databases.postgresql.restore.check_constraints import DroppedCheckConstraints
from covetbackup.core.databases.postgresql.restore.into_existing.data_only import DataOnlyLoad
from covetbackup.core.databases.postgresql.restore.into_existing.encoding import dump_encoding
from covetbackup.core.databases.postgresql.restore.into_existing.table_load import TableLoad
from covetbackup.core.databases.postgresql.restore.into_existing.transaction import current_xid
from covetbackup.core.databases.postgresql.restore.loaders import CollectingSink
from covetbackup.core.databases.postgresql.restore.parallel import (
    HEAD_BYTES,
    prepare_copy_session,
    readable_contents,
)
from covetbackup.core.databases.postgresql.restore.part_sink import CopyTarget, PartSink
from covetbackup.core.databases.postgresql.restore.refused_statements import RefusedStatements
from covetbackup.core.databases.postgresql.restore.retry_rows import RowRetry
from covetbackup.core.databases.postgresql.restore.tentative import RefusedRows, TentativeSink
from covetbackup.core.databases.postgresql.server import roles
from covetbackup.core.databases.postgresql.server.access import ServerAccess
from covetbackup.core.databases.postgresql.server.background import in_background
from covetbackup.core.databases.postgresql.server.clients import PostgresClients
from covetbackup.core.databases.postgresql.server.connection import Connection, major_of, translated
from covetbackup.core.databases.postgresql.server.liveness import (
    LivenessProbe,
    ProgressWithLiveness,
)
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, ServerBusy
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink

T = TypeVar("T")
# Every later request for the table waits behind one that waits for a lock.
_LOCK_TIMEOUT = "SET lock_timeout = '60s'"


class InPlaceStep(Protocol):
    """The objects that an in-place restore loads.

    `entries` are by dump id; those of `first` are loaded before all others. `notes` are for the
    result.
    """

    resolved: ResolvedSelection
    entries: dict[int, Entry]
    notes: list[str]
    first: Sequence[int]

    def begin(self) -> None:
        """Make the database ready for the data of the entries `first`, loaded in this order."""

    def create(self) -> None:
        """Make the database ready for all other data."""

    def finish(self, expected: Inventory, loaded: Mapping[str, int]) -> Inventory:
        """Do what is done after the data, and return what was restored of `expected`.

        `loaded` has the number of rows that each table took, by label.
        """


@contextmanager
def open_in_place_restore(
    access: ServerAccess,
    request: RestoreRequest,
    selection: Selection,
    expected: Inventory,
    *,
    select_clients: Callable[[int], PostgresClients],
    progress: Progress,
) -> Iterator[InPlaceRestore]:
    """Open a restore of `selection` into the existing database of `access`, in one transaction.

    Without a commit it is rolled back. `expected` is the inventory of the backup; `select_clients`
    returns the client programs for a major version.
    """
    if request.replace or (request.sets_options and not selection.with_structure):
        raise BadSetting("rows go into tables that are there: nothing is replaced or owned")
    with ExitStack() as stack:
        with translated(access.settings):
            connection = stack.enter_context(closing(access.connect()))
            check_server.refuse_read_only(connection)
            idle = stack.enter_context(closing(access.connect()))
            connection.execute("BEGIN")
        yield InPlaceRestore(
            connection,
            LivenessProbe(idle, access.settings),
            request,
            selection,
            expected,
            select_clients=select_clients,
            progress=progress,
        )


class InPlaceRestore:
    """A `RestoreSession`, `VerifiableCommit`, in the open transaction of `connection`.

    While it waits it checks `probe`, whose settings are those of the database.
    """

    retained_as = ""

    def __init__(
        self,
        connection: Connection,
        probe: LivenessProbe,
        request: RestoreRequest,
        selection: Selection,
        expected: Inventory,
        *,
        select_clients: Callable[[int], PostgresClients],
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._probe = probe
        self._settings = probe.settings
        self._selection = selection
        self._request = request
        self._expected = expected
        self._select_clients = select_clients
        self._progress = ProgressWithLiveness(progress, probe)
        self._contents: TableOfContents | None = None
        self._offsets: PartOffsets | None = None
        self._step: InPlaceStep | None = None
        self._loaded: dict[str, int] = {}
        self._found: Inventory | None = None
        self._failures: list[RefusedRows] = []
        self._done: set[int] = set()
        paths = paths_of(expected)
        self._refused = RefusedStatements(
            paths, skips_failing=check_server.SKIP_FAILING in request.options
        )
        self._checks = DroppedCheckConstraints(
            lambda: nullcontext(connection),
            paths,
            partial(progress.advance, 0),
            spares_older=True,
        )
        self._retry_rows = RowRetry(self._checks, paths)

    @property
    def notes(self) -> Sequence[str]:
        added = self._step.notes if self._step else ()
        refused = self._refused
        broken = invalid_index_notes(self._contents, refused.left_out) if self._contents else ()
        return [*added, *refused.notes, *broken, *self._checks.notes]

    @property
    def resolved(self) -> ResolvedSelection | None:
        return self._step.resolved if self._step else None

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        yield (MemberRange(listing_member(members)),)
        if self._contents is None:
            raise BadSetting(f"{HEAD} was not read")
        self._offsets = PartOffsets(self._contents, members)
        step = self._step = self._open_step(self._contents)
        self._check_selection(step.resolved)
        if GLOBALS in members and self._request.create_roles:
            yield (MemberRange(GLOBALS),)
        self._progress.phase("making the database ready")
        with self._reported():
            step.begin()
        # One after the other: there is one transaction.
        for dump_id in step.first:
            yield from self._load_first(dump_id)
        with self._reported():
            step.create()
        for piece in self._offsets.member_ranges(step.entries.keys() - self._done):
            yield (piece,)
        while self._failures:
            yield from self._load_again()
        with_structure = self._selection.with_structure
        self._progress.phase("making indexes and keys" if with_structure else "checking keys")
        with self._reported():
            self._checks.recreate()
            self._found = step.finish(self._expected, self._loaded)

    def _load_first(self, dump_id: int) -> Iterator[Sequence[MemberRange]]:
        """Load an entry before all others.

        Rows that depend on what is created later are refused now, and loaded with all others.
        """
        assert self._offsets is not None
        pieces = self._offsets.member_ranges([dump_id])
        if len(pieces) == 1:
            yield pieces
            if not self._failures:
                self._done.add(dump_id)
            self._failures.clear()

    def _load_again(self) -> Iterator[Sequence[MemberRange]]:
        """Load again the rows that tables which were created here have refused."""
        failures, self._failures = self._failures, []
        with self._reported():
            self._retry_rows.prepare(failures)
            self._set_search_path(self._retry_rows.path)
        for failure in failures:
            yield (failure.piece,)
        with self._reported():
            self._set_search_path("")

    def _set_search_path(self, path: str) -> None:
        self._connection.execute("SELECT set_config('search_path', %s, false)", (path,))

    def required(self, expected: Inventory) -> Inventory:
        if self._contents is None:
            return expected
        return expected_without(expected, self._refused.left_out, self._contents)

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        if piece.member == HEAD:
            return CollectingSink(self._take_head, HEAD_BYTES)
        if piece.member == GLOBALS:
            return CollectingSink(self._create_roles)
        if self._contents is None or self._offsets is None or self._step is None:
            raise BadSetting(f"{piece.member} came before {HEAD}")
        encoding = partial(dump_encoding, self._connection, self._contents)
        loader = CopyTarget(self._connection, self._count, dump_encoding=encoding)
        boundary = self._offsets.boundary_of(piece)
        with_liveness = ProgressWithLiveness(progress, self._probe)
        sink = PartSink(piece.member, boundary, self._step.entries, loader, with_liveness)
        if not self._selection.with_structure:
            return sink  # the constraints of existing tables are not dropped
        return TentativeSink(piece, sink, self._failures.append)

    def inventory(self) -> Inventory:
        assert self._found is not None
        return self._found

    def commit_id(self) -> str:
        with self._reported():
            return current_xid(self._connection)

    def commit(self) -> None:
        with self._reported():
            # Loading did not wait for the disk; the commit must.
            self._connection.execute("RESET synchronous_commit")
            self._connection.execute("COMMIT")

    def _open_step(self, contents: TableOfContents) -> InPlaceStep:
        with self._reported():
            prepare_copy_session(self._connection, contents)
            self._connection.execute(_LOCK_TIMEOUT)
            if not self._selection.with_structure:
                selection, run = self._selection, self._in_background
                return DataOnlyLoad(self._connection, contents, selection, run=run)
            return TableLoad(
                self._connection,
                contents,
                self._selection,
                pg_restore=self._pg_restore,
                refused=self._refused,
                owner=self._request.owner_role,
                run=self._in_background,
                progress=self._progress,
            )

    def _check_selection(self, resolved: ResolvedSelection) -> None:
        for line in resolved.notes:
            self._progress.note(line)
        needed = check_server.requirements_of(resolved, self._expected)
        with self._reported():
            check_server.check_requirements(self._connection, needed, self._request)

    def _pg_restore(self) -> list[str]:
        major = check_server.archive_major(self._expected) or major_of(self._connection)
        options = [self._select_clients(major).path("pg_restore")]
        options += check_server.ownership_options(self._request)
        if check_server.missing_tablespaces(self._connection, self._needed()):
            options.append("--no-tablespaces")
        return options

    def _take_head(self, head: bytes) -> None:
        self._contents = readable_contents(head, self._expected)

    def _create_roles(self, script: bytes) -> None:
        created = roles.create_missing_roles(self._connection, script, self._needed().roles)
        if created:
            self._progress.note(f"roles created: {', '.join(created)}")

    def _needed(self) -> Inventory:
        assert self._step is not None
        return check_server.requirements_of(self._step.resolved, self._expected)

    def _count(self, label: str, rows: int) -> None:
        self._loaded[label] = self._loaded.get(label, 0) + rows

    def _in_background(self, act: Callable[[], T]) -> T:
        """Run `act`, which may take hours and can be cancelled, in a thread."""
        running = in_background(self._connection, lambda stop: act())
        try:
            return running.result(on_wait=lambda: self._progress.advance(0))
        finally:
            running.stop()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        with translated(self._settings):
            try:
                yield
            except psycopg.errors.LockNotAvailable as error:
                raise ServerBusy(
                    f"other sessions hold locks that are needed in {self._settings.database!r}",
                    "try again when they have ended; nothing was changed",
                ) from error
