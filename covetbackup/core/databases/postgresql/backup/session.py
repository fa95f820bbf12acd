"""One backup: `globals.sql` and the dump, in parts that are read at once or as one stream.

The leader, an ordinary connection, holds the snapshot that all of it is read in. Storing,
compressing and encrypting are not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from covetbackup.core.databases.base import BackupSummary, Member, Probe, Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import Unsupported
from covetbackup.core.databases.postgresql.backup import parallel as parted, unread
from covetbackup.core.databases.postgresql.backup.build import build_parallel_dump
from covetbackup.core.databases.postgresql.backup.leader import Leader
from covetbackup.core.databases.postgresql.backup.pgdump import PgDump
from covetbackup.core.databases.postgresql.backup.single_stream import SingleStreamDump
from covetbackup.core.databases.postgresql.backup.snapshot import Snapshot, busy, take_snapshot
from covetbackup.core.databases.postgresql.inventory import (
    build,
    counts,
    dumpable_objects,
    objects,
)
from covetbackup.core.databases.postgresql.inventory.unplannable import (
    find_unplannable,
    unplannable_warnings,
)
from covetbackup.core.databases.postgresql.server import roles
from covetbackup.core.databases.postgresql.server.access import ClientTool, ServerAccess
from covetbackup.core.databases.postgresql.server.background import in_background
from covetbackup.core.databases.postgresql.server.clients import Clients, newer_than_server
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    conninfo,
    major_of,
    translated,
)
from covetbackup.core.errors import CovetError, Incomplete, SourceFailed
from covetbackup.core.progress import Progress
from covetbackup.core.stream.process import run

GLOBALS = "globals.sql"


class PostgresBackup:
    """A `BackupSession`. Leaving its context ends every session it opened on the server."""

    def __init__(
        self,
        access: ServerAccess,
        method: str,
        *,
        choose: Callable[[int], Clients],
        progress: Progress,
    ) -> None:
        self._access = access
        self._method = method
        self._choose = choose
        self._progress = progress
        self._stack = ExitStack()
        self._warnings: list[str] = []
        self._dump: parted.ParallelDump | SingleStreamDump | None = None

    def __enter__(self) -> PostgresBackup:
        with translated(self._access.settings), ExitStack() as stack:
            self._leader = self._access.connect()
            stack.callback(self._leader.close)
            self._clients = self._choose(major_of(self._leader))
            self._snapshot = self._take_snapshot()
            self._warnings += build.limitations(self._leader, self._snapshot)
            self._unread = unread.unread(self._leader)
            self._warnings += unread.warnings(self._unread)
            self._warnings += newer_than_server(self._clients, major_of(self._leader))
            self._probe = probe(self._leader, self._clients)
            self._unplannable = find_unplannable(self._leader, self._snapshot.tables)
            self._warnings += unplannable_warnings(self._snapshot.tables, self._unplannable)
            self._survey = in_background(self._leader, self._read_inventory)
            stack.callback(self._survey.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cause = self._survey.failure
        self._stack.close()
        if kind is not None:
            self._access.end_sessions()
        if cause is not None and isinstance(error, SourceFailed):
            # Its statement ended the snapshot, which the readers then could not import.
            with translated(self._access.settings):
                raise cause from error

    def groups(self) -> Iterator[Sequence[Member]]:
        attempts = [
            (lambda: self._globals(), ""),
            (lambda: self._globals("--no-role-passwords"), roles.WITHOUT_PASSWORDS),
            (lambda: self._role_names(), roles.NAMES_ONLY),
        ]
        yield (Member(GLOBALS, roles.globals_source(attempts, warn=self._warn)),)
        self._dump = self._chosen_dump()
        yield from self._dump.groups()

    def finish(self) -> BackupSummary:
        if self._dump is None:
            raise Incomplete("the dump was not read")
        dumped = self._dump.dumped_tables()
        with translated(self._access.settings):
            inventory = self._survey.result(waiting=self._tick)
            # This also proves that the leader lived: had it died, so had its locks on the tables.
            self._leader.execute("ROLLBACK")
        self._refuse_gaps(dumped)
        moment = self._snapshot.taken_at
        span = Span(self._snapshot.lsn, self._snapshot.lsn, self._snapshot.timeline, moment, moment)
        return BackupSummary(
            span, self._complete(inventory), self._probe, self._dump.method, tuple(self._warnings)
        )

    def _chosen_dump(self) -> parted.ParallelDump | SingleStreamDump:
        pg_dump = PgDump(
            self._tool("pg_dump"),
            self._access.settings.database,
            self._snapshot.name,
            busy=self._busy,
            warn=self._warnings.append,
        )
        if self._method == parted.METHOD:
            try:
                return self._opened_parts(pg_dump.contents(self._tick))
            except Unsupported as reason:
                self._warn(f"dumped as one stream, not in parallel: {reason}")
        pg_restore = self._clients.path("pg_restore")
        return SingleStreamDump(
            pg_dump, pg_restore=pg_restore, size_hint=self._table_bytes() or None
        )

    def _opened_parts(self, contents: TableOfContents) -> parted.ParallelDump:
        return build_parallel_dump(
            contents,
            self._access,
            self._snapshot,
            Leader(self._leader, self._survey.has_ended),
            unplannable=self._unplannable,
            psql=self._tool("psql") if self._clients.has_psql else None,
            stack=self._stack,
        )

    def _read_inventory(self, stop: Callable[[], bool]) -> Inventory:
        return build.snapshot_inventory(
            self._leader,
            self._snapshot,
            stop,
            skipped=self._unplannable,
            warn=self._warnings.append,
        )

    def _complete(self, inventory: Inventory) -> Inventory:
        """With what a restore has to know of the dump itself."""
        about_the_dump = {
            "dump_client": self._clients.version,
            "table_bytes": str(self._table_bytes()),
        }
        assert self._dump is not None
        tables = counts.with_exact_counts(
            inventory.tables, self._snapshot.tables, self._dump.counted_rows()
        )
        settings = {**(inventory.settings or {}), **about_the_dump, **self._unread}
        return replace(inventory, tables=tables, settings=settings)

    def _table_bytes(self) -> int:
        return sum(table.pages_bytes for table in self._snapshot.tables)

    def _take_snapshot(self) -> Snapshot:
        return take_snapshot(
            self._leader, before=lambda: dumpable_objects.refuse_unreadable(self._leader)
        )

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._progress.note(text)

    def _tick(self) -> None:
        self._progress.advance(0)

    def _globals(self, *options: str) -> bytes:
        # --database, as --dbname only says where to look for "postgres", which may not exist.
        tool = self._tool("pg_dumpall")
        argv = [
            tool.program,
            "--globals-only",
            "--no-password",
            f"--database={conninfo(self._access.settings.database)}",
            *options,
        ]
        return run(argv, env=tool.environment, secrets=tool.secrets).output

    def _role_names(self) -> bytes:
        with translated(self._access.settings), self._access.connect() as connection:
            return roles.names_only(connection, objects.roles(connection))

    def _busy(self) -> CovetError:
        with translated(self._access.settings), self._access.connect() as connection:
            return busy(connection)

    def _refuse_gaps(self, dumped: frozenset[int] | None) -> None:
        """Every table of the snapshot must have its rows in the dump."""
        if dumped is None:
            self._warn("the dump's list of contents is too long to be compared with the tables")
            return
        missing = [
            table.label
            for table in self._snapshot.tables
            if table.kind == "r"
            and table.oid not in dumped
            and not (table.unlogged and self._snapshot.standby)
        ]
        if missing:
            raise Incomplete(
                f"the dump lacks {len(missing)} tables: {', '.join(missing[:20])}",
                "is pg_dump a wrapper that excludes something?",
            )

    def _tool(self, program: str) -> ClientTool:
        return ClientTool(
            self._clients.path(program),
            self._access.environment(major_of(self._leader)),
            self._access.secrets,
        )


def probe(connection: Connection, clients: Clients) -> Probe:
    row = connection.execute(
        "SELECT current_setting('server_version'), current_database(),"
        " pg_database_size(current_database())"
    ).fetchone()
    assert row is not None
    version, name, size = row
    return Probe("postgresql", version, clients.version, name, size)
