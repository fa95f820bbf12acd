"""Restore into a new database: a scratch database is filled, and renamed at the commit.

The target's name must be free, or the request is to replace it: then the rename is a swap, see
`replace`. Nothing that exists is ever dropped.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial

import psycopg
from psycopg import sql

from covetbackup.core.databases.background import BackgroundQuery
from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.member_names import DUMP, HEAD, is_part
from covetbackup.core.databases.postgresql.backup import unread
from covetbackup.core.databases.postgresql.backup.session import GLOBALS
from covetbackup.core.databases.postgresql.inventory import properties, verify_counts
from covetbackup.core.databases.postgresql.inventory.build import object_counts
from covetbackup.core.databases.postgresql.inventory.extension_facts import advance_sequences
from covetbackup.core.databases.postgresql.inventory.external_connections import (
    disable_external_connections,
)
from covetbackup.core.databases.postgresql.replace import swap
from covetbackup.core.databases.postgresql.restore import check_server, scratch
from covetbackup.core.databases.postgresql.restore.after_rename import create_deferred, not_created
from covetbackup.core.databases.postgresql.restore.analyze import Analysis
from covetbackup.core.databases.postgresql.restore.loaders import (
    CollectingSink,
    PgRestore,
    start_single_stream,
)
from covetbackup.core.databases.postgresql.restore.parallel import ParallelRestore
from covetbackup.core.databases.postgresql.restore.rename_schemas import rename_schemas
from covetbackup.core.databases.postgresql.restore.restored_database import RestoredDatabase
from covetbackup.core.databases.postgresql.server import roles
from covetbackup.core.databases.postgresql.server.access import ServerAccess, end_sessions
from covetbackup.core.databases.postgresql.server.clients import PostgresClients
from covetbackup.core.databases.postgresql.server.connection import (
    conninfo_without_send_timeout,
    major_of,
    translated,
)
from covetbackup.core.databases.postgresql.server.liveness import (
    LivenessProbe,
    ProgressWithLiveness,
)
from covetbackup.core.databases.postgresql.server.older_server import sends_unknown_setting
from covetbackup.core.databases.restore import OwnerPolicy, RestoreRequest
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import BadSetting, CovetError, DatabaseError
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink

_log = logging.getLogger(__name__)


@contextmanager
def open_restore(
    access: ServerAccess,
    request: RestoreRequest,
    expected: Inventory,
    *,
    select_clients: Callable[[int], PostgresClients],
    progress: Progress,
) -> Iterator[PostgresRestore]:
    """Open a restore into a scratch database, which is dropped unless it is committed.

    `expected` is the inventory of the backup; `select_clients` returns the client programs for a
    major version. Raises `TargetNotEmpty` for a database that exists and is not replaced, and what
    the checks of the server raise.
    """
    with ExitStack() as stack:
        with translated(access.settings):
            session = PostgresRestore(access, request, expected, progress, stack)
            session.create_scratch(select_clients)
        yield session


class PostgresRestore:
    """A `RestoreSession` into a database that does not exist yet, or is replaced.

    What it opens on the server is closed or undone by `stack`.
    """

    retained_as = unremoved = ""

    def __init__(
        self,
        access: ServerAccess,
        request: RestoreRequest,
        expected: Inventory,
        progress: Progress,
        stack: ExitStack,
    ) -> None:
        self._access = access
        self._settings = access.settings
        self._request = request
        self._target = request.database or access.settings.database
        self._jobs = request.jobs or 1
        self._keeps_owner = request.owner_policy is OwnerPolicy.KEEP
        self._expected = expected
        # What a selection needs is known when its contents are read.
        is_whole = request.selection is None
        self._needed = expected if is_whole else check_server.restrict_requirements(expected)
        self._progress = progress
        name = scratch.scratch_name(datetime.now(UTC))
        self._database = RestoredDatabase(access, name, role=request.owner_role)
        self._created_roles: list[str] = []
        self._properties: list[sql.Composed] = []
        self._notes: list[str] = []
        self._connection_notes: list[str] = []
        self._committed = False
        self._stack = stack
        self._maintenance = stack.enter_context(closing(access.connect_maintenance()))
        self._probe = LivenessProbe(self._maintenance, self._settings)

    def create_scratch(self, select_clients: Callable[[int], PostgresClients]) -> None:
        """Check the server and create the scratch database, which `stack` drops again."""
        check_server.refuse_read_only(self._maintenance)
        self._check_target()
        check_server.check_requirements(self._maintenance, self._needed, self._request)
        major = check_server.archive_major(self._expected) or major_of(self._maintenance)
        self._clients = select_clients(major)
        self._report_risks()
        self._stack.callback(self._undo)
        owner = self._request.owner_role or None
        scratch.create(self._maintenance, self._database.name, self._expected, owner=owner)
        self._load = ParallelRestore(
            self._pg_restore,
            self._database.connect_as_owner,
            skips_failing=check_server.SKIP_FAILING in self._request.options,
            jobs=self._jobs,
            expected=self._expected,
            selection=self._request.selection,
            progress=self._progress,
        )
        self._stack.callback(self._load.close)

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        if HEAD in members:
            yield (MemberRange(HEAD),)
            self._load.open(members)
        elif self._request.selection is not None:
            raise BadSetting(
                "of a dump in one stream nothing can be selected",
                "restore all of it; or let pg_restore select from what `cat … dump.pgc` writes",
            )
        if self.resolved is not None:
            self._check_selection(self.resolved)
        if GLOBALS in members:
            yield (MemberRange(GLOBALS),)
        with translated(self._settings):
            self._properties = self._dry_run_properties()
        yield from self._load.groups() if HEAD in members else self._load.single_stream_groups()
        self._finish_contents()

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        if piece.member == GLOBALS:
            return CollectingSink(self._apply_globals)
        if is_part(piece.member):
            with translated(self._database.settings):
                return self._load.sink(piece, ProgressWithLiveness(progress, self._probe))
        if piece.member != DUMP:
            raise BadSetting(f"a PostgreSQL backup has no member {piece.member!r}")
        size = int((self._expected.settings or {}).get("table_bytes", "0"))
        load = partial(start_single_stream, self._pg_restore(), self._jobs, size)
        return self._load.single_stream_sink(load, ProgressWithLiveness(progress, self._probe))

    @property
    def notes(self) -> Sequence[str]:
        untried = () if self._committed else not_created(self._load)
        return [*self._notes, *self._load.notes, *untried]

    @property
    def resolved(self) -> ResolvedSelection | None:
        return self._load.resolved

    def inventory(self) -> Inventory:
        # In parallel, as each uses only one core of the server: of a restore of 650 MB, one after
        # the other took 4 s of 31.
        expected = self.resolved.restrict(self._expected) if self.resolved else self._expected
        notes: list[str] = []
        restored = verify_counts.RestoredInventory(expected, self._load.loaded, notes.append)
        reader = restored.selection if self.resolved else restored.database
        analysis = Analysis()
        with self._analyzing(analysis) as analyses, self._database.in_background(reader) as reading:
            found = reading.result(on_wait=self._tick)
            self._progress.phase("analyze")
            for each in analyses:
                each.result(on_wait=self._tick)
        if text := verify_counts.unverified(expected, found):
            notes.append(text)
        for note in (*notes, *analysis.notes):
            self._progress.note(note)
        return self._load.deferred.without(self._with_event_triggers(found))

    def _with_event_triggers(self, found: Inventory) -> Inventory:
        """Create event triggers and return `found` with them.

        They come last, as they would act on the rest of the restore and on sessions that count.
        """
        with translated(self._database.settings):
            if not self._load.create_event_triggers():
                return found
            with self._database.connect_as_owner() as connection:
                return dataclasses.replace(found, objects=object_counts(connection))

    def required(self, expected: Inventory) -> Inventory:
        return self._load.required(expected)

    def commit(self) -> None:
        name, target = self._database.name, self._target
        if self.retained_as:
            self._replace(name, target)
        else:
            with translated(self._settings):
                scratch.rename(self._maintenance, name, target, statements=self._properties)
        self._committed = True
        self._notes += self._connection_notes
        self._database.name = target
        leaves_out = check_server.LEAVE_OUT_SCHEDULER in self._request.options
        self._notes += create_deferred(self._maintenance, target, self._load, leaves_out=leaves_out)

    def _check_target(self) -> None:
        target = self._target
        if not self._request.replace:
            scratch.refuse_taken(self._maintenance, target)
            return
        swap.refuse_irreplaceable(self._maintenance, target)
        self.retained_as = swap.free_retained_name(self._maintenance, target, datetime.now(UTC))

    def _replace(self, name: str, target: str) -> None:
        with (
            translated(self._settings),
            self._access.connect_maintenance() as second,
        ):
            swap.swap(
                self._maintenance,
                second,
                target=target,
                incoming=name,
                retained_as=self.retained_as,
                statements=self._properties,
            )

    def _check_selection(self, resolved: ResolvedSelection) -> None:
        self._needed = check_server.requirements_of(resolved, self._expected)
        with translated(self._settings):
            check_server.check_requirements(self._maintenance, self._needed, self._request)
            self._report_missing_tablespaces()

    def _finish_contents(self) -> None:
        """Advance sequences, rename schemas and disable external connections.

        References to objects in a renamed schema stay valid, except in code that is stored as text,
        of which the selection's warnings tell.
        """
        resolved, expected, target = self.resolved, self._expected, self._target
        with translated(self._database.settings), self._database.connect() as connection:
            if resolved is None or resolved.with_data:
                extensions = expected.extensions if resolved is None else resolved.extensions
                self._notes += advance_sequences(connection, expected, extensions)
            if resolved is not None:
                rename_schemas(connection, resolved.schemas_as)
            self._connection_notes = disable_external_connections(connection, expected, target)

    def _report_risks(self) -> None:
        if check_server.is_superuser(self._maintenance):
            self._progress.note(check_server.SUPERUSER_WARNING)
        self._report_missing_tablespaces()
        _, lost = check_server.own_tablespace(self._maintenance, self._expected)
        self._notes += [lost] if lost else []
        if self._request.selection is None:
            self._notes += unread.notes(self._expected)

    def _report_missing_tablespaces(self) -> None:
        if self._missing_tablespaces():
            missing = ", ".join(self._missing_tablespaces())
            self._progress.note(f"all goes to the default tablespace; missing here: {missing}")

    def _missing_tablespaces(self) -> list[str]:
        return list(check_server.missing_tablespaces(self._maintenance, self._needed))

    def _apply_globals(self, script: bytes) -> None:
        if not self._request.create_roles:
            return
        needed = self.resolved.roles if self.resolved else None
        self._created_roles = roles.create_missing_roles(self._maintenance, script, needed)
        if self._created_roles:
            self._progress.note(f"roles created: {', '.join(self._created_roles)}")

    def _dry_run_properties(self) -> list[sql.Composed]:
        """Return the statements for the commit point that succeed in a trial.

        A failure must show now and not after hours of loading.
        """
        wanted = properties.property_statements(
            self._database.name, self._expected, keep_owner=self._keeps_owner
        )
        possible, failures = properties.dry_run(self._maintenance, wanted)
        for text, error in failures:
            self._refuse_or_note(text, error)
        return possible

    def _refuse_or_note(self, text: str, error: psycopg.Error) -> None:
        if isinstance(error, properties.UNKNOWN_HERE):
            self._notes.append(f"left out: {text}")
            return
        if self._keeps_owner and self._request.selection is None:
            raise DatabaseError(
                f"cannot give the database its properties: {text}",
                "restore as a superuser, or with owner none",
            ) from error
        self._progress.note(f"left out: {text}")

    def _pg_restore(self) -> PgRestore:
        options = [
            "--no-password",
            f"--dbname={conninfo_without_send_timeout(self._database.name)}",
        ]
        options += check_server.ownership_options(self._request)
        if self._missing_tablespaces():
            options.append("--no-tablespaces")
        return PgRestore(
            argv=[self._clients.path("pg_restore"), *options],
            env=self._access.environment(major_of(self._maintenance)),
            secrets=self._access.secrets,
            idle=self._tick,
            continues_after_errors=sends_unknown_setting(
                self._clients.major, major_of(self._maintenance)
            ),
        )

    def _tick(self) -> None:
        if self._committed:
            return  # nothing can be cancelled any more
        self._probe.check()
        self._progress.advance(0)

    @contextmanager
    def _analyzing(self, analysis: Analysis) -> Iterator[Sequence[BackgroundQuery[None]]]:
        with ExitStack() as stack:
            running = (self._database.in_background(analysis) for _ in range(self._jobs))
            yield [stack.enter_context(each) for each in running]

    def _undo(self) -> None:
        if self._committed:
            return
        try:
            with self._access.connect_maintenance() as connection:
                end_sessions(connection, self._access.application)
                scratch.drop(
                    connection,
                    self._database.name,
                    connect_inside=self._database.connect,
                    note=self._progress.note,
                )
                roles.drop_roles(connection, self._created_roles)
        except (CovetError, psycopg.Error) as error:
            # The restore's own failure may be raised already; a cleanup will drop this.
            name = self._database.name
            _log.warning("scratch database stays until a cleanup scratch=%s %s", name, error)
            self.unremoved = f"scratch database {name!r} is left: {error}"
            self._progress.note(self.unremoved)
