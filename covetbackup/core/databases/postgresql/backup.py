"""One logical backup: `globals.sql` and `dump.pgc`, both by the stock client programs.

The leader, an ordinary connection, holds the snapshot that pg_dump reads and the inventory is
taken in. Storing, compressing and encrypting are not done here.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

import psycopg

from covetbackup.core.databases.base import Member, Outcome, Probe, Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql import catalog, relations, roles, survey
from covetbackup.core.databases.postgresql.archive import listing_check
from covetbackup.core.databases.postgresql.background import Background
from covetbackup.core.databases.postgresql.clients import Clients
from covetbackup.core.databases.postgresql.connection import (
    Connection,
    ConnectionSettings,
    connect,
    conninfo,
    major_of,
    tool_environment,
    translated,
)
from covetbackup.core.databases.postgresql.snapshot import (
    LOCK_SECONDS,
    Snapshot,
    busy,
    take_snapshot,
)
from covetbackup.core.errors import CovetError, Incomplete, SourceFailed
from covetbackup.core.progress import Progress
from covetbackup.core.stream.process import CommandSource, run
from covetbackup.core.stream.pump import filtered
from covetbackup.core.stream.secret import Secret, SecretFile

_log = logging.getLogger(__name__)

METHOD = "logical"
GLOBALS = "globals.sql"
DUMP = "dump.pgc"


class LogicalBackup:
    """A `BackupSession`. Leaving its context ends every session it opened on the server."""

    def __init__(
        self,
        settings: ConnectionSettings,
        password: Secret | None,
        *,
        choose: Callable[[int], Clients],
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._password = password
        self._choose = choose
        self._progress = progress
        self._application = f"covetbackup {secrets.token_hex(4)}"
        self._stack = ExitStack()
        self._warnings: list[str] = []
        self._dumped: dict[str, frozenset[int]] | None = None
        self._dump_ended = False

    def __enter__(self) -> LogicalBackup:
        with translated(self._settings), ExitStack() as stack:
            self._leader = connect(self._settings, self._password, application=self._application)
            stack.callback(self._leader.close)
            self._clients = self._choose(major_of(self._leader))
            self._snapshot = self._take_snapshot()
            self._warnings += survey.shortcomings(self._leader, self._snapshot)
            self._probe = probe(self._leader, self._clients)
            self._survey = Background(
                self._leader,
                lambda stop: survey.snapshot_inventory(self._leader, self._snapshot, stop),
            )
            stack.callback(self._survey.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        if kind is not None:
            self._end_sessions()

    def _end_sessions(self) -> None:
        try:
            with connect(
                self._settings, self._password, application=self._application
            ) as connection:
                end_sessions(connection, self._application)
        except (CovetError, psycopg.Error) as failure:
            # The backup's own failure is on its way up already.
            _log.warning("cannot end sessions application=%s %s", self._application, failure)

    def groups(self) -> Iterator[Sequence[Member]]:
        attempts = [
            (lambda: self._globals(), ""),
            (lambda: self._globals("--no-role-passwords"), roles.WITHOUT_PASSWORDS),
            (lambda: self._role_names(), roles.NAMES_ONLY),
        ]
        yield (Member(GLOBALS, roles.globals_source(attempts, warn=self._warn)),)
        yield (Member(DUMP, self._dump(), size_hint=self._heap_bytes() or None),)

    def finish(self) -> Outcome:
        if not self._dump_ended:
            raise Incomplete("the dump was not read to its end")
        with translated(self._settings):
            inventory = self._survey.result(waiting=lambda: self._progress.advance(0))
            self._leader.execute("ROLLBACK")
        self._refuse_gaps()
        moment = self._snapshot.taken_at
        span = Span(self._snapshot.lsn, self._snapshot.lsn, self._snapshot.timeline, moment, moment)
        return Outcome(span, self._complete(inventory), self._probe, METHOD, tuple(self._warnings))

    def _complete(self, inventory: Inventory) -> Inventory:
        """With what a restore has to know of the dump itself."""
        about_the_dump = {
            "dump_client": self._clients.version,
            "table_bytes": str(self._heap_bytes()),
        }
        return replace(inventory, settings={**(inventory.settings or {}), **about_the_dump})

    def _heap_bytes(self) -> int:
        return sum(table.pages_bytes for table in self._snapshot.tables)

    def _take_snapshot(self) -> Snapshot:
        return take_snapshot(self._leader, before=lambda: relations.refuse_unreadable(self._leader))

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._progress.note(text)

    def _globals(self, *options: str) -> bytes:
        # --database, as --dbname only says where to look for "postgres", which may not exist.
        argv = [
            self._clients.path("pg_dumpall"),
            "--globals-only",
            "--no-password",
            f"--database={conninfo(self._settings.database)}",
            *options,
        ]
        return run(argv, env=self._environment(), secrets=self._secrets()).output

    def _role_names(self) -> bytes:
        with (
            translated(self._settings),
            connect(self._settings, self._password, application=self._application) as connection,
        ):
            return roles.names_only(connection, catalog.roles(connection))

    @contextmanager
    def _dump(self) -> Iterator[Iterator[bytes]]:
        source = CommandSource(
            [
                self._clients.path("pg_dump"),
                "--format=custom",
                "--compress=0",
                f"--snapshot={self._snapshot.name}",
                f"--lock-wait-timeout={LOCK_SECONDS}s",
                "--no-password",
                f"--dbname={conninfo(self._settings.database)}",
            ],
            env=self._environment(),
            secrets=self._secrets(),
        )
        look = listing_check(self._clients.path("pg_restore"), found=self._remember)
        try:
            with filtered(source, [look]) as chunks:
                yield self._noting_the_end(chunks)
        except SourceFailed as error:
            raise self._explained(error) from error
        self._warnings += [
            line for line in source.messages.splitlines() if line.startswith("pg_dump: warning")
        ]

    def _noting_the_end(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from chunks
        self._dump_ended = True

    def _remember(self, dumped: dict[str, frozenset[int]]) -> None:
        self._dumped = dumped

    def _explained(self, error: SourceFailed) -> CovetError:
        # The server's own words may be in any language; this part is pg_dump's.
        if "LOCK TABLE" not in error.message:
            return error
        with (
            translated(self._settings),
            connect(self._settings, self._password, application=self._application) as connection,
        ):
            return busy(connection)

    def _refuse_gaps(self) -> None:
        """Every table and sequence of the snapshot must have its entry in the dump's list."""
        if self._dumped is None:
            self._warn("the dump's list of contents is too long to be compared with the tables")
            return
        dumped = self._dumped["TABLE DATA"]
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

    def _environment(self) -> dict[str, str | SecretFile]:
        return tool_environment(
            self._settings,
            self._password,
            application=self._application,
            major=major_of(self._leader),
        )

    def _secrets(self) -> list[Secret]:
        return [] if self._password is None else [self._password]


def probe(connection: Connection, clients: Clients) -> Probe:
    row = connection.execute(
        "SELECT current_setting('server_version'), current_database(),"
        " pg_database_size(current_database())"
    ).fetchone()
    assert row is not None
    version, name, size = row
    return Probe("postgresql", version, clients.version, name, size)


def end_sessions(connection: Connection, application: str) -> None:
    """End what is left on the server of a failed or cancelled operation. A backend that computes
    does not notice that its client was killed until it next sends something."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = %s AND pid <> pg_backend_pid()",
        (application,),
    )
