"""One backup: `globals.sql` and the dump, in parts that are read at once or as one stream.

The leader, an ordinary connection, holds the snapshot in which everything is read. Storing,
compressing and encrypting are not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from covetbackup.core.databases.base import BackupSummary, Member, Probe, Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import Unsupported
from covetbackup.core.databases.postgresql.backup import unread
from covetbackup.core.databases.postgresql.backup.build import build_parallel_dump
from covetbackup.core.databases.postgresql.backup.leader import Leader
from covetbackup.core.databases.postgresql.backup.parallel import METHOD, ParallelDump
from covetbackup.core.databases.postgresql.backup.pgdump import PgDump
from covetbackup.core.databases.postgresql.backup.single_stream import SingleStreamDump
from covetbackup.core.databases.postgresql.backup.snapshot import busy_error, take_snapshot
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
from covetbackup.core.databases.postgresql.server.clients import PostgresClients, newer_than_server
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


@contextmanager
def open_backup(
    access: ServerAccess,
    method: str,
    *,
    select_clients: Callable[[int], PostgresClients],
    progress: Progress,
) -> Iterator[PostgresBackup]:
    """Open a backup by `method`; with the context every session on the server ends.

    `select_clients` returns the client programs for a server's major version. Raises `ServerBusy`,
    `Unreadable` naming what this role cannot dump, and what `connect` raises.
    """
    with translated(access.settings), ExitStack() as opening:
        leader = opening.enter_context(closing(access.connect()))
        clients = select_clients(major_of(leader))
        backup = PostgresBackup(access, leader, clients, method, progress, opening)
        stack = opening.pop_all()
    with access.sessions_ended_on_failure(), stack:
        try:
            yield backup
        except SourceFailed as error:
            if (cause := backup.inventory_failure) is None:
                raise
            # Its statement ended the snapshot, which the readers then could not import.
            with translated(access.settings):
                raise cause from error


class PostgresBackup:
    """A `BackupSession` in a snapshot of the connection `leader`, which is not closed here.

    What it opens besides is closed by `stack`.
    """

    def __init__(
        self,
        access: ServerAccess,
        leader: Connection,
        clients: PostgresClients,
        method: str,
        progress: Progress,
        stack: ExitStack,
    ) -> None:
        self._access = access
        self._leader = leader
        self._clients = clients
        self._method = method
        self._progress = progress
        self._dump: ParallelDump | SingleStreamDump | None = None
        self._snapshot = take_snapshot(
            leader, precheck=lambda: dumpable_objects.refuse_unreadable(leader)
        )
        self._unread = unread.unread_objects(leader)
        self._probe = probe(leader, clients)
        self._unplannable = find_unplannable(leader, self._snapshot.tables)
        self._warnings = [
            *build.limitations(leader, self._snapshot),
            *unread.warnings(self._unread),
            *newer_than_server(clients, major_of(leader)),
            *unplannable_warnings(self._snapshot.tables, self._unplannable),
        ]
        self._inventory = in_background(leader, self._read_inventory)
        stack.callback(self._inventory.stop)
        self._readers = stack.enter_context(ExitStack())

    @property
    def inventory_failure(self) -> Exception | None:
        """The error that reading the inventory raised, None if it has not failed."""
        return self._inventory.failure

    def groups(self) -> Iterator[Sequence[Member]]:
        attempts = [
            (lambda: self._globals(), ""),
            (lambda: self._globals("--no-role-passwords"), roles.WITHOUT_PASSWORDS),
            (lambda: self._role_names(), roles.NAMES_ONLY),
        ]
        yield (Member(GLOBALS, roles.globals_source(attempts, warn=self._warn)),)
        self._dump = self._open_dump()
        yield from self._dump.groups()

    def finish(self) -> BackupSummary:
        if self._dump is None:
            raise Incomplete("the dump was not read")
        dumped = self._dump.dumped_tables()
        with translated(self._access.settings):
            inventory = self._inventory.result(on_wait=self._tick)
            # This also proves that the leader lived: had it died, so had its locks on the tables.
            self._leader.execute("ROLLBACK")
        self._refuse_gaps(dumped)
        moment = self._snapshot.taken_at
        span = Span(self._snapshot.lsn, self._snapshot.lsn, self._snapshot.timeline, moment, moment)
        return BackupSummary(
            span, self._complete(inventory), self._probe, self._dump.method, tuple(self._warnings)
        )

    def _open_dump(self) -> ParallelDump | SingleStreamDump:
        pg_dump = PgDump(
            self._tool("pg_dump"),
            self._access.settings.database,
            self._snapshot.name,
            busy_error=self._busy_error,
            warn=self._warnings.append,
        )
        if self._method == METHOD:
            try:
                return self._open_parallel_dump(pg_dump.contents(self._tick))
            except Unsupported as reason:
                self._warn(f"dumped as one stream, not in parallel: {reason}")
        pg_restore = self._clients.path("pg_restore")
        return SingleStreamDump(
            pg_dump, pg_restore=pg_restore, size_hint=self._table_bytes() or None
        )

    def _open_parallel_dump(self, contents: TableOfContents) -> ParallelDump:
        return build_parallel_dump(
            contents,
            self._access,
            self._snapshot,
            Leader(self._leader, self._inventory.has_ended),
            unplannable=self._unplannable,
            psql=self._tool("psql") if self._clients.has_psql else None,
            stack=self._readers,
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
        """Return `inventory` with exact counts of the dump and facts that a restore needs of it."""
        dump_facts = {
            "dump_client": self._clients.version,
            "table_bytes": str(self._table_bytes()),
        }
        assert self._dump is not None
        tables = counts.with_exact_counts(
            inventory.tables, self._snapshot.tables, self._dump.counted_rows()
        )
        settings = {**(inventory.settings or {}), **dump_facts, **self._unread}
        return replace(inventory, tables=tables, settings=settings)

    def _table_bytes(self) -> int:
        return sum(table.pages_bytes for table in self._snapshot.tables)

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

    def _busy_error(self) -> CovetError:
        with translated(self._access.settings), self._access.connect() as connection:
            return busy_error(connection)

    def _refuse_gaps(self, dumped: frozenset[int] | None) -> None:
        """Raise `Incomplete` unless every table of the snapshot has its rows in the dump."""
        if dumped is None:
            self._warn("the dump's table of contents is too long to be compared with the tables")
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


def probe(connection: Connection, clients: PostgresClients) -> Probe:
    """Return what is known of the database of `connection` before a backup."""
    row = connection.execute(
        "SELECT current_setting('server_version'), current_database(),"
        " pg_database_size(current_database())"
    ).fetchone()
    assert row is not None
    version, name, size = row
    return Probe("postgresql", version, clients.version, name, size)
