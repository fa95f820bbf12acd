"""One logical backup: structure, rows in parallel parts, programs, events, accounts.

Every part is what the stock dump program writes, but for rows with FLOAT values, which it would
round: those are written in its form over a session of ours. By hand they are restored in this
order: `schema.sql`, `data-*.sql`, `programs.sql` (routines, triggers, views), `events.sql`.
Triggers come after the rows, or they would fire for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType

from covetbackup.core.databases.background import Background
from covetbackup.core.databases.base import BackupOptions, BackupSummary, Member, Probe, Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.archive import members as parts
from covetbackup.core.databases.mysql.archive.dump_index import SectionScan, map_to_json
from covetbackup.core.databases.mysql.archive.view_order import views_in_order
from covetbackup.core.databases.mysql.backup import dump
from covetbackup.core.databases.mysql.backup.dump import DumpProgram
from covetbackup.core.databases.mysql.backup.exact_rows import ExactRows
from covetbackup.core.databases.mysql.backup.exact_values import queries_of, tables_with_floats
from covetbackup.core.databases.mysql.backup.position import position_in_dump
from covetbackup.core.databases.mysql.backup.privileges import refuse_unreadable
from covetbackup.core.databases.mysql.backup.row_ranges import Part, parts_of
from covetbackup.core.databases.mysql.backup.snapshot import (
    NoLock,
    RowsSource,
    Snapshot,
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
from covetbackup.core.databases.mysql.inventory.schema_fingerprint import (
    SchemaFingerprint,
    read_fingerprint,
)
from covetbackup.core.databases.mysql.inventory.tables import Listing, list_tables
from covetbackup.core.databases.mysql.restore import check_server
from covetbackup.core.databases.mysql.server.background import in_background
from covetbackup.core.databases.mysql.server.clients import Clients
from covetbackup.core.databases.mysql.server.connection import Connection, connect, translated
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.keepalive import KeepAlive
from covetbackup.core.databases.mysql.server.settings import ConnectionSettings
from covetbackup.core.errors import Incomplete, LoginRefused, ServerBusy, SourceFailed
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.process import STALL_SECONDS, CommandSource
from covetbackup.core.stream.pump import filtered
from covetbackup.core.stream.secret import Secret

METHOD = "logical"
_NAMED = 20  # tables named in a message
_TICK_SECONDS = 1.0


class LogicalBackup:
    """A `BackupSession`. Leaving its context ends every session it opened on the server."""

    def __init__(
        self,
        settings: ConnectionSettings,
        password: Secret | None,
        options: BackupOptions,
        *,
        choose: Callable[[Version], Clients],
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._password = password
        self._streams = options.streams
        self._choose = choose
        self._progress = progress
        self._stack = ExitStack()
        self._warnings: list[str] = []
        self._scans: dict[str, SectionScan] = {}
        self._survey: Background[dict[str, int]] | None = None
        self._snapshot: Snapshot | None = None

    def __enter__(self) -> LogicalBackup:
        with translated(self._settings), ExitStack() as stack:
            self._leader = connect(self._settings, self._password)
            stack.callback(self._leader.close)
            self._leave_out_nothing()
            self._lifeline = stack.enter_context(KeepAlive(self._settings, self._password))
            self._program = DumpProgram(
                self._settings,
                self._password,
                self._choose(self._leader.version),
                self._leader.version,
                self._leader.is_encrypted,
            )
            self._stack = stack.pop_all()
        return self

    def _leave_out_nothing(self) -> None:
        database = self._settings.database
        refuse_absent(self._leader)
        self._listing = list_tables(self._leader, database)
        refuse_unreadable(self._leader, self._listing)
        self._definitions = read_fingerprint(self._leader, database)
        self._found = build.read_inventory(self._leader, database, self._listing)
        self._with_floats = tables_with_floats(self._leader, database)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def groups(self) -> Iterator[Sequence[Member]]:
        """The structure first, then the rows: the snapshot is as new as can be, and no dump
        program waits for its reader while the structure is stored."""
        yield tuple(self._structure())
        with translated(self._settings):
            members = self._rows()
        if members:
            yield members
        sections = {name: scan.sections for name, scan in self._scans.items()}
        yield (Member(parts.MAP, nullcontext(iter([map_to_json(sections)]))),)

    def _structure(self) -> Iterator[Member]:
        start, listing = self._program.start, self._listing
        schema = self._dumped(dump.STRUCTURE, (*listing.table_names, *listing.sequences))
        yield Member(parts.SCHEMA, self._whole(schema))
        yield Member(parts.PROGRAMS, dump.one_after_another(self._programs()))
        if (self._found.objects or {}).get("event"):
            yield Member(parts.EVENTS, self._whole(start(dump.EVENTS)))
        yield Member(parts.USERS, users_source(self._leader, warn=self._warn))

    def _programs(self) -> list[Source]:
        """Routines, triggers, then the views, which may call routines."""
        listing = self._listing
        busy = objects.with_triggers(self._leader, self._settings.database)
        quiet = set(listing.names) - busy
        quiet -= dump.not_told_apart(busy, quiet)
        sources = [self._program.start(dump.ROUTINES, without=sorted(quiet))]
        if listing.views:
            views = views_in_order(self._leader, self._settings.database)
            sources.append(self._program.named(dump.STRUCTURE, views))
        return [self._whole(source) for source in sources]

    def _whole(self, source: CommandSource) -> Source:
        return dump.whole(source, self._lifeline.watch)

    def _rows(self) -> list[Member]:
        try:
            members = self._shared(self._parts())
        except NoLock as reason:
            self._warn(f"one stream and no exact row counts: {reason}")
            members = self._alone() if self._listing.non_empty else []
            self._snapshot = Snapshot(utc_now())
        self._refuse_changes()
        return members

    def _parts(self) -> list[Part]:
        listing, database = self._listing, self._settings.database
        found = parts_of(self._leader, database, listing.non_empty, self._streams)
        return [part for each in found for part in each.divided(self._with_floats)]

    def _shared(self, found: Sequence[Part]) -> list[Member]:
        """A member for each part, all of one snapshot, in which the rows are counted."""
        sources = [self._rows_of(part) for part in found]
        programs = ExitStack()
        pieces, self._snapshot = open_together(self._leader, sources, programs)
        self._stack.push(programs.pop_all())
        self._progress.note(f"writes were held off for {self._snapshot.locked_ms} ms")
        self._survey = in_background(self._leader, self._password, self._count)
        self._stack.callback(self._survey.stop)
        return [
            self._member(number, part, source, piece)
            for number, (part, source, piece) in enumerate(
                zip(found, sources, pieces, strict=True), 1
            )
        ]

    def _alone(self) -> list[Member]:
        """One member with all rows, whose snapshot nobody else has."""
        everything = Part(self._listing.non_empty, self._listing.size_bytes)
        source = self._all_rows(everything)
        pieces = self._stack.enter_context(source)
        self._await_beginning(source)
        return [self._member(1, everything, source, pieces)]

    def _all_rows(self, everything: Part) -> RowsSource:
        if self._with_floats:
            return self._exact_rows(everything, with_position=self._leader.version.is_mariadb)
        return self._dumped_rows(everything, *self._position_options())

    def _await_beginning(self, source: RowsSource) -> None:
        deadline = time.monotonic() + STALL_SECONDS
        while not source.wait_for_message(dump.SNAPSHOT_IS_OPEN, _TICK_SECONDS):
            self._lifeline.check()
            self._progress.advance(0)
            if time.monotonic() >= deadline:
                raise ServerBusy(
                    f"the dump program could not begin within {STALL_SECONDS:.0f} s",
                    "does another session lock all tables?",
                )

    def _position_options(self) -> list[str]:
        # MySQL's dump program would take the very lock that was not to be had.
        version = self._leader.version
        has_log = (self._found.settings or {}).get("log_bin") == "1"
        return ["--master-data=2"] if version.is_mariadb and has_log else []

    def _rows_of(self, part: Part) -> RowsSource:
        are_exact = self._with_floats.issuperset(table.name for table in part.tables)
        return self._exact_rows(part) if are_exact else self._dumped_rows(part)

    def _exact_rows(self, part: Part, *, with_position: bool = False) -> ExactRows:
        database = self._settings.database
        versioned = {table.name for table in part.tables if table.versioned}
        history = versioned if self._keeps_history else set()
        queries = queries_of(self._leader, database, history)
        return ExactRows(
            self._settings,
            self._password,
            [queries[table.name] for table in part.tables],
            where=part.where,
            with_position=with_position,
        )

    def _dumped_rows(self, part: Part, *options: str) -> CommandSource:
        wanted = [table.name for table in part.tables]
        history = ["--dump-history"] if self._keeps_history else []
        where = [f"--where={part.where}"] if part.where else []
        return self._dumped([*dump.ROWS, *history, *where, *options], wanted)

    def _dumped(self, options: Sequence[str], wanted: Sequence[str]) -> CommandSource:
        """The tables and sequences `wanted` alone, named only if leaving out others would not do:
        for those it is given by name the program asks one by one under the lock."""
        others = [name for name in self._listing.names if name not in set(wanted)]
        if dump.not_told_apart(wanted, others):
            return self._program.named(options, wanted)
        return self._program.start(options, without=others)

    @property
    def _keeps_history(self) -> bool:
        return build.keeps_history(self._leader.version, self._program.clients.version)

    def _member(
        self,
        number: int,
        part: Part,
        source: RowsSource,
        pieces: Iterator[bytes],
    ) -> Member:
        name = parts.data_name(number)
        scan = self._scans[name] = SectionScan([table.name for table in part.tables])
        return Member(name, self._looked_at(source, pieces, scan), part.size_bytes or None)

    @contextmanager
    def _looked_at(
        self, source: RowsSource, pieces: Iterator[bytes], scan: SectionScan
    ) -> Iterator[Iterator[bytes]]:
        looks: list[Filter] = [self._lifeline.watch, scan, dump.end_check]
        try:
            with filtered(nullcontext(pieces), looks) as chunks:
                yield chunks
        except SourceFailed as error:
            raise dump.explained(error, source.messages) from error

    def _refuse_changes(self) -> None:
        """The structure was dumped a moment before the snapshot of the rows: it must be theirs."""
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
        if self._snapshot is None:
            raise Incomplete("the rows were not read to their end")
        counts: dict[str, int] = {}
        with translated(self._settings):
            if self._survey is not None:
                counts = self._survey.result(waiting=lambda: self._progress.advance(0))
            position = self._position()
            self._refuse_altered()
            self._warnings += requirements.limitations(self._leader, self._listing, self._widest)
        moment = self._snapshot.taken_at
        branch = (self._found.settings or {})["branch"]
        span = Span(position, position, branch, moment, moment)
        self._warnings += build.limitations(self._listing, with_history=self._keeps_history)
        self._warnings += references.warnings(self._found)
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
        """With what a restore has to know of the dump itself."""
        assert self._snapshot is not None
        about_the_dump = {
            "dump_client": self._program.clients.version.text,
            "locked_ms": str(self._snapshot.locked_ms),
            **self._about_history(),
            **requirements.recorded(self._widest),
        }
        return replace(
            self._found,
            tables=counting.table_facts(self._listing.tables, counts),
            settings={**(self._found.settings or {}), **about_the_dump},
        )

    @property
    def _widest(self) -> dict[str, int]:
        return requirements.widest([scan.longest for scan in self._scans.values()])

    def _about_history(self) -> dict[str, str]:
        is_in_it = self._keeps_history and any(t.versioned for t in self._listing.tables)
        return {check_server.HISTORY: "1"} if is_in_it else {}

    def _probe(self) -> Probe:
        return probe_of(self._leader, self._program.clients, self._listing)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._progress.note(text)


def _changed(what: str) -> ServerBusy:
    return ServerBusy(
        f"{what} changed while they were dumped",
        "take the backup again when no migration runs",
    )


def probe_of(connection: Connection, clients: Clients, listing: Listing) -> Probe:
    return Probe(
        "mysql",
        connection.version.text,
        clients.version.text,
        connection.settings.database,
        listing.size_bytes,
    )


def refuse_absent(connection: Connection) -> None:
    """Raises `LoginRefused` if there is no such database, or none this account may see."""
    query = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"
    if connection.value(query, [connection.settings.database]) is None:
        raise LoginRefused(
            f"there is no database {connection.settings}",
            "is the name right, and may this account see it?",
        )
