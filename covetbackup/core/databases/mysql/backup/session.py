"""One logical backup: structure, rows in parallel parts, stored objects, events, accounts.

Every member is what the stock dump program writes, except rows with FLOAT values, which it would
round: those are written in its form over a session of ours. By hand members are restored in this
order: `schema.sql`, `data-*.sql`, `programs.sql` (routines, triggers, views), `events.sql`.
Triggers come after the rows, or they would fire for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.base import BackupOptions, BackupSummary, Member, Probe, Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.archive import members as member_names
from covetbackup.core.databases.mysql.archive.dump_index import SectionScan, map_to_json
from covetbackup.core.databases.mysql.archive.view_order import views_in_order
from covetbackup.core.databases.mysql.backup import dump
from covetbackup.core.databases.mysql.backup.dump import DumpProgram
from covetbackup.core.databases.mysql.backup.exact_rows import ExactRows
from covetbackup.core.databases.mysql.backup.exact_values import queries_of, tables_with_floats
from covetbackup.core.databases.mysql.backup.position import position_in_dump
from covetbackup.core.databases.mysql.backup.privileges import refuse_unreadable
from covetbackup.core.databases.mysql.backup.row_ranges import RowRange, parts_of
from covetbackup.core.databases.mysql.backup.snapshot import (
    NoLock,
    RowsSource,
    SnapshotMoment,
    open_together,
    utc_now,
)
from covetbackup.core.databases.mysql.backup.users import users_source
from covetbackup.core.databases.mysql.inventory import (
    build,
    counts as counting,
    objects,
    references,
    requirements,
)
from covetbackup.core.databases.mysql.inventory.databases import refuse_absent
from covetbackup.core.databases.mysql.inventory.schema_fingerprint import (
    SchemaFingerprint,
    read_fingerprint,
)
from covetbackup.core.databases.mysql.inventory.tables import TableListing, list_tables
from covetbackup.core.databases.mysql.restore import check_server
from covetbackup.core.databases.mysql.server.background import in_background
from covetbackup.core.databases.mysql.server.clients import MysqlClients
from covetbackup.core.databases.mysql.server.connection import Connection, connect, translated
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.keepalive import KeepAlive, keep_alive
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import Incomplete, ServerBusy, SourceFailed
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.process import STALL_SECONDS, CommandSource
from covetbackup.core.stream.pump import filtered
from covetbackup.core.stream.secret import Secret

METHOD = "logical"
_NAMED = 20  # tables named in a message
_TICK_SECONDS = 1.0


@contextmanager
def open_backup(
    settings: MysqlSettings,
    password: Secret | None,
    options: BackupOptions,
    *,
    select_clients: Callable[[Version], MysqlClients],
    progress: Progress,
) -> Iterator[LogicalBackup]:
    """Open a backup; with the context every session on the server ends.

    `select_clients` returns the client programs for a version of the server. Raises `LoginRefused`,
    `Unreadable` naming what this account cannot dump, and what `connect` raises.
    """
    with translated(settings), ExitStack() as opening:
        leader = opening.enter_context(connect(settings, password))
        content = _check_complete(leader)
        probe = opening.enter_context(keep_alive(settings, password))
        clients = select_clients(leader.version)
        program = DumpProgram(settings, password, clients, leader.version, leader.is_encrypted)
        stack = opening.pop_all()
    with closing(stack):
        yield LogicalBackup(
            leader, password, content, program, probe, options.streams, progress, stack
        )


@dataclass(frozen=True, slots=True)
class _Content:
    """What the database held before its dump: `definitions` must not change meanwhile."""

    listing: TableListing
    definitions: SchemaFingerprint
    inventory: Inventory
    with_floats: frozenset[str]


def _check_complete(leader: Connection) -> _Content:
    """Read what the database holds. Raises `Unreadable` if this account cannot read all of it."""
    database = leader.settings.database
    refuse_absent(leader)
    listing = list_tables(leader, database)
    refuse_unreadable(leader, listing)
    return _Content(
        listing,
        read_fingerprint(leader, database),
        build.read_inventory(leader, database, listing),
        frozenset(tables_with_floats(leader, database)),
    )


class LogicalBackup:
    """A `BackupSession` whose rows come from one snapshot, with a transaction of `leader` in it.

    `stack` ends what the session starts on the server.
    """

    def __init__(
        self,
        leader: Connection,
        password: Secret | None,
        content: _Content,
        program: DumpProgram,
        probe: KeepAlive,
        streams: int,
        progress: Progress,
        stack: ExitStack,
    ) -> None:
        self._leader = leader
        self._settings = leader.settings
        self._password = password
        self._listing = content.listing
        self._definitions = content.definitions
        self._inventory = content.inventory
        self._with_floats = content.with_floats
        self._program = program
        self._keep_alive = probe
        self._streams = streams
        self._progress = progress
        self._stack = stack
        self._warnings: list[str] = []
        self._scans: dict[str, SectionScan] = {}
        self._counting: BackgroundQuery[dict[str, int]] | None = None
        self._snapshot: SnapshotMoment | None = None

    def groups(self) -> Iterator[Sequence[Member]]:
        """Yield the structure before the rows.

        So the snapshot is as recent as possible, and no dump program waits for its reader while the
        structure is stored.
        """
        yield tuple(self._structure())
        with translated(self._settings):
            members = self._row_members()
        if members:
            yield members
        sections = {name: scan.sections for name, scan in self._scans.items()}
        yield (Member(member_names.MAP, nullcontext(iter([map_to_json(sections)]))),)

    def _structure(self) -> Iterator[Member]:
        start, listing = self._program.start, self._listing
        schema = self._dumped(dump.STRUCTURE, (*listing.table_names, *listing.sequences))
        yield Member(member_names.SCHEMA, self._checked_dump(schema))
        yield Member(member_names.PROGRAMS, dump.concatenated(self._programs()))
        if (self._inventory.objects or {}).get("event"):
            yield Member(member_names.EVENTS, self._checked_dump(start(dump.EVENTS)))
        yield Member(member_names.USERS, users_source(self._leader, warn=self._warn))

    def _programs(self) -> list[Source]:
        """Return the dumps of routines and triggers, then of views, which may call routines."""
        listing = self._listing
        with_triggers = objects.with_triggers(self._leader, self._settings.database)
        others = set(listing.names) - with_triggers
        others -= dump.indistinguishable(with_triggers, others)
        sources = [self._program.start(dump.ROUTINES, without=sorted(others))]
        if listing.views:
            views = views_in_order(self._leader, self._settings.database)
            sources.append(self._program.named(dump.STRUCTURE, views))
        return [self._checked_dump(source) for source in sources]

    def _checked_dump(self, source: CommandSource) -> Source:
        return dump.checked(source, self._keep_alive.watch)

    def _row_members(self) -> list[Member]:
        try:
            members = self._parallel(self._parts())
        except NoLock as reason:
            self._warn(f"one stream and no exact row counts: {reason}")
            members = self._single_stream() if self._listing.non_empty else []
            self._snapshot = SnapshotMoment(utc_now())
        self._refuse_changes()
        return members

    def _parts(self) -> list[RowRange]:
        listing, database = self._listing, self._settings.database
        found = parts_of(self._leader, database, listing.non_empty, self._streams)
        return [part for each in found for part in each.divided(self._with_floats)]

    def _parallel(self, found: Sequence[RowRange]) -> list[Member]:
        """Return a member for each part, all of one snapshot, in which the rows are counted."""
        sources = [self._source_of(part) for part in found]
        programs = ExitStack()
        pieces, self._snapshot = open_together(self._leader, sources, programs)
        self._stack.push(programs.pop_all())
        self._progress.note(f"writes were blocked for {self._snapshot.locked_ms} ms")
        self._counting = in_background(self._leader, self._password, self._count)
        self._stack.callback(self._counting.stop)
        return [
            self._member(number, part, source, piece)
            for number, (part, source, piece) in enumerate(
                zip(found, sources, pieces, strict=True), 1
            )
        ]

    def _single_stream(self) -> list[Member]:
        """Return one member with all rows, of a snapshot that is not shared."""
        everything = RowRange(self._listing.non_empty, self._listing.size_bytes)
        source = self._all_rows(everything)
        pieces = self._stack.enter_context(source)
        self._await_snapshot(source)
        return [self._member(1, everything, source, pieces)]

    def _all_rows(self, everything: RowRange) -> RowsSource:
        if self._with_floats:
            return self._exact_rows(everything, with_position=self._leader.version.is_mariadb)
        return self._dumped_rows(everything, *self._position_options())

    def _await_snapshot(self, source: RowsSource) -> None:
        deadline = time.monotonic() + STALL_SECONDS
        while not source.wait_for_message(dump.SNAPSHOT_IS_OPEN, _TICK_SECONDS):
            self._keep_alive.check()
            self._progress.advance(0)
            if time.monotonic() >= deadline:
                raise ServerBusy(
                    f"the dump program could not begin within {STALL_SECONDS:.0f} s",
                    "does another session lock all tables?",
                )

    def _position_options(self) -> list[str]:
        # MySQL's dump program would take the very lock that was not available.
        version = self._leader.version
        has_log = (self._inventory.settings or {}).get("log_bin") == "1"
        return ["--master-data=2"] if version.is_mariadb and has_log else []

    def _source_of(self, part: RowRange) -> RowsSource:
        are_exact = self._with_floats.issuperset(table.name for table in part.tables)
        return self._exact_rows(part) if are_exact else self._dumped_rows(part)

    def _exact_rows(self, part: RowRange, *, with_position: bool = False) -> ExactRows:
        database = self._settings.database
        versioned = {table.name for table in part.tables if table.versioned}
        history = versioned if self._dumps_history else set()
        queries = queries_of(self._leader, database, history)
        return ExactRows(
            self._settings,
            self._password,
            [queries[table.name] for table in part.tables],
            where=part.where,
            with_position=with_position,
        )

    def _dumped_rows(self, part: RowRange, *options: str) -> CommandSource:
        wanted = [table.name for table in part.tables]
        history = ["--dump-history"] if self._dumps_history else []
        where = [f"--where={part.where}"] if part.where else []
        return self._dumped([*dump.ROWS, *history, *where, *options], wanted)

    def _dumped(self, options: Sequence[str], wanted: Sequence[str]) -> CommandSource:
        """Return a dump of only the tables and sequences `wanted`, by name only if others cannot be
        left out: the program queries named tables one by one, and would do so under the lock."""
        others = [name for name in self._listing.names if name not in set(wanted)]
        if dump.indistinguishable(wanted, others):
            return self._program.named(options, wanted)
        return self._program.start(options, without=others)

    @property
    def _dumps_history(self) -> bool:
        return build.dumps_history(self._leader.version, self._program.clients.version)

    def _member(
        self,
        number: int,
        part: RowRange,
        source: RowsSource,
        pieces: Iterator[bytes],
    ) -> Member:
        name = member_names.data_name(number)
        scan = self._scans[name] = SectionScan([table.name for table in part.tables])
        return Member(name, self._checked(source, pieces, scan), part.size_bytes or None)

    @contextmanager
    def _checked(
        self, source: RowsSource, pieces: Iterator[bytes], scan: SectionScan
    ) -> Iterator[Iterator[bytes]]:
        filters: list[Filter] = [self._keep_alive.watch, scan, dump.end_check]
        try:
            with filtered(nullcontext(pieces), filters) as chunks:
                yield chunks
        except SourceFailed as error:
            raise dump.explained(error, source.messages) from error

    def _refuse_changes(self) -> None:
        """Raise `ServerBusy` if definitions changed before the snapshot of the rows."""
        if self._definitions_now() != self._definitions:
            raise _changed(f"definitions in {self._settings}")

    def _refuse_altered(self) -> None:
        altered = self._definitions.altered(self._definitions_now())
        if altered:
            raise _changed(f"columns of {', '.join(altered[:_NAMED])}")

    def _definitions_now(self) -> SchemaFingerprint:
        with connect(self._settings, self._password) as connection:
            return read_fingerprint(connection, self._settings.database)

    def _count(self, stop: Callable[[], bool]) -> dict[str, int]:
        tables = counting.affordable(self._listing.non_empty)
        return counting.count(self._leader, self._settings.database, tables, stop=stop)

    def finish(self) -> BackupSummary:
        """Return the summary of the backup.

        Raises `Incomplete`, and `ServerBusy` if definitions changed meanwhile.
        """
        if self._snapshot is None:
            raise Incomplete("the rows were not read to their end")
        counts: dict[str, int] = {}
        with translated(self._settings):
            if self._counting is not None:
                counts = self._counting.result(on_wait=lambda: self._progress.advance(0))
            position = self._position()
            self._refuse_altered()
            self._warnings += requirements.limitations(self._leader, self._listing, self._widest)
        moment = self._snapshot.taken_at
        branch = (self._inventory.settings or {})["branch"]
        span = Span(position, position, branch, moment, moment)
        self._warnings += build.limitations(self._listing, with_history=self._dumps_history)
        self._warnings += references.warnings(self._inventory)
        return BackupSummary(
            span, self._complete(counts), self._probe(), METHOD, tuple(self._warnings)
        )

    def _position(self) -> str:
        assert self._snapshot is not None
        if self._snapshot.position is not None:
            return str(self._snapshot.position)
        for scan in self._scans.values():
            found = position_in_dump(self._leader, scan.beginning)
            if found is not None:
                return str(found)
        self._warn(self._snapshot.why_not or "the position in the binary log is not known")
        return ""

    def _complete(self, counts: dict[str, int]) -> Inventory:
        """Return the inventory with what a restore must know of the dump itself."""
        assert self._snapshot is not None
        dump_settings = {
            "dump_client": self._program.clients.version.text,
            "locked_ms": str(self._snapshot.locked_ms),
            **self._history_setting(),
            **requirements.recorded(self._widest),
        }
        return replace(
            self._inventory,
            tables=counting.table_facts(self._listing.tables, counts),
            settings={**(self._inventory.settings or {}), **dump_settings},
        )

    @property
    def _widest(self) -> dict[str, int]:
        return requirements.widest([scan.longest for scan in self._scans.values()])

    def _history_setting(self) -> dict[str, str]:
        is_in_it = self._dumps_history and any(t.versioned for t in self._listing.tables)
        return {check_server.HISTORY: "1"} if is_in_it else {}

    def _probe(self) -> Probe:
        return build.probe_of(self._leader, self._program.clients, self._listing)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._progress.note(text)


def _changed(what: str) -> ServerBusy:
    return ServerBusy(
        f"{what} changed while they were dumped",
        "take the backup again when no migration runs",
    )
