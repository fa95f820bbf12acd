"""One logical restore: into a scratch database whose tables move to the target at the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeVar

import pymysql

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.checks import refuse_incompatible
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.archive import members as parts, requalify, rewrite
from covetbackup.core.databases.mysql.archive.spool import Script, close
from covetbackup.core.databases.mysql.archive.tables import ForeignKey
from covetbackup.core.databases.mysql.inventory import (
    build,
    counts,
    objects as catalog,
    references,
    requirements,
)
from covetbackup.core.databases.mysql.inventory.options import make_read_only
from covetbackup.core.databases.mysql.inventory.tables import TableListing, list_tables
from covetbackup.core.databases.mysql.replace import (
    publish,
    retained as replacing,
    swap as exchange,
)
from covetbackup.core.databases.mysql.restore import (
    check_constraints,
    check_server,
    copies,
    key_rules,
    scratch,
)
from covetbackup.core.databases.mysql.restore.loaders import (
    BytesSink,
    ClientProgram,
    DumpSink,
    ScriptSink,
)
from covetbackup.core.databases.mysql.restore.selective import SelectiveLoad
from covetbackup.core.databases.mysql.server import accounts
from covetbackup.core.databases.mysql.server.background import in_background
from covetbackup.core.databases.mysql.server.clients import MysqlClients
from covetbackup.core.databases.mysql.server.connection import (
    Connection,
    connect,
    quoted,
    translated,
)
from covetbackup.core.databases.mysql.server.flavour import A_YEAR, Version
from covetbackup.core.databases.mysql.server.keepalive import keep_alive
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.restore import OwnerPolicy, RestoreRequest
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, CovetError, DatabaseError
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.process import CommandSink
from covetbackup.core.stream.secret import Secret

T = TypeVar("T")
_log = logging.getLogger(__name__)

LOAD_LOCK_SECONDS = 86_400
"""Only clients of the same restore wait for each other there: for all of a range of the same table,
where the dump program of MariaDB 11 made it one transaction. Servers would wait for 50 s."""


class LogicalRestore:
    """The `RestoreSession` of a database that does not exist yet, or is replaced."""

    retained_as = ""
    unremoved = ""

    def __init__(
        self,
        settings: MysqlSettings,
        password: Secret | None,
        request: RestoreRequest,
        expected: Inventory,
        *,
        select_clients: Callable[[Version], MysqlClients],
        progress: Progress,
    ) -> None:
        check_server.refuse_options(request)
        self._target = settings.on(request.database or settings.database)
        self._settings = settings
        self._password = password
        self._expected = expected
        self._replaces = request.replace
        self._request = request
        self._select_clients = select_clients
        self._progress = progress
        self._name = scratch.scratch_name(datetime.now(UTC))
        self._stack = ExitStack()
        self._original = (expected.settings or {}).get("database", "")
        self._part = self._partial_load(request.selection)
        self._chosen_names = request.selection.tables if request.selection else None
        self._scripts: list[Script] = []
        self._awake: set[str] = set()
        self._copy = copies.Copy(
            expected,
            self._target.database,
            replaces=request.replace,
            enables_events=check_server.ENABLE_EVENTS in request.options,
        )
        self.notes: list[str] = []
        self._accounts = ""

    def __enter__(self) -> LogicalRestore:
        with translated(self._settings), ExitStack() as stack:
            self._keeper = connect(self._settings, self._password)
            stack.callback(self._keeper.close)
            self._look_at_target()
            check_server.check_requirements(self._keeper, self._expected)
            references.refuse_missing_dependencies(self._keeper, self._expected, self._chosen_names)
            refuse_incompatible(
                [*requirements.unmet(self._keeper, self._expected, self._chosen_names)]
            )
            self._say_risks()
            self._keep_alive = stack.enter_context(
                keep_alive(self._settings, self._password, lock_name=self._name)
            )
            self._client = self._client_program()
            self._keeper.execute(self._client.session)
            stack.callback(self._undo)
            scratch.create(self._keeper, self._name, self._expected)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        """Accounts if they are asked for, structure, all rows at once, programs, events."""
        if self._request.create_roles and parts.USERS in members:
            yield (MemberRange(parts.USERS),)
        if self._part is not None:
            yield from self._part.groups(members)
            return
        if parts.SCHEMA not in members:
            raise BadSetting(f"a MySQL backup has a member {parts.SCHEMA!r}, this one has not")
        yield (MemberRange(parts.SCHEMA),)
        rows = tuple(MemberRange(member) for member in members if parts.is_data(member))
        if rows:
            yield rows
        for member in (parts.PROGRAMS, parts.EVENTS):
            if member in members:
                yield (MemberRange(member),)

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        if piece.member == parts.USERS:
            return BytesSink(self._keep_accounts)
        if self._part is not None:
            return self._part.sink(piece, progress)
        if piece.member == parts.SCHEMA:
            return ScriptSink(self._load_schema)
        if piece.member == parts.PROGRAMS:
            return ScriptSink(self._load_programs)
        if piece.member == parts.EVENTS:
            return ScriptSink(self._load_events)
        if parts.is_dump(piece.member):
            return DumpSink(self._started(progress))
        raise BadSetting(f"a MySQL restore wants no member {piece.member!r}")

    @property
    def resolved(self) -> ResolvedSelection | None:
        return None if self._part is None else self._part.resolved

    def inventory(self) -> Inventory:
        with translated(self._settings):
            found = self._in_background(self._read_inventory)
            broken = self._in_background(
                lambda stop: check_constraints.broken(self._keeper, self._name, stop=stop)
            )
        if broken:
            self._progress.note(check_constraints.note_of(broken))
        return found

    def commit(self) -> None:
        self._keep_alive.check()  # without it a cleanup may have dropped the scratch database
        with translated(self._settings):
            if self.retained_as:
                self._replace()
            else:
                self._publish()
            self._set_read_only()
        self.notes += self._copy.notes
        if self._accounts:
            self._create_accounts()

    def _set_read_only(self) -> None:
        """Last, as nothing can be made in it then; that it cannot be is only told."""
        if (self._expected.settings or {}).get("read_only") and self._part is None:
            problem = make_read_only(self._keeper, self._target.database)
            self.notes += [problem] if problem else []

    def _keep_accounts(self, script: bytes) -> None:
        self._accounts = script.decode()

    def _create_accounts(self) -> None:
        """Last, as rights on single tables need those, and whatever goes wrong is only told: the
        database is there by now."""
        try:
            with translated(self._settings), self._session() as connection:
                lines = accounts.create_missing(
                    connection,
                    self._accounts,
                    original=self._original,
                    target=self._target.database,
                    definers=self._expected.roles
                    if self._request.owner_policy is OwnerPolicy.KEEP
                    else (),
                )
        except CovetError as error:
            lines = [f"accounts that are missing were not created: {error.message}"]
        for line in lines:
            self._progress.note(line)

    def _say_risks(self) -> None:
        target = self._target.database
        for line in (
            *check_server.risks(self._keeper, self._expected, self._request),
            references.acts_on_original(self._expected, target),
        ):
            if line:
                self._progress.note(line)

    def _look_at_target(self) -> None:
        target = self._target.database
        if not self._replaces:
            scratch.refuse_taken(self._keeper, target)
            return
        exchange.recover(self._keeper)  # else half a replacement could be replaced
        replacing.refuse_irreplaceable(self._keeper, target)
        replacing.refuse_stationary(self._expected)
        self.retained_as = replacing.free_retained_name(self._keeper, target, datetime.now(UTC))

    def _replace(self) -> None:
        self._refuse_other_definers(self._name)
        with self._session() as connection:
            notes = exchange.swap_databases(
                connection,
                self._session,
                target=self._target.database,
                incoming=self._name,
                retained_as=self.retained_as,
                enabled_events=self._awake,
            )
        for note in notes:
            self._progress.note(note)
        self.notes += notes

    def _session(self) -> Connection:
        connection = connect(self._settings, self._password)
        connection.execute(self._client.session)
        return connection

    def _publish(self) -> None:
        keeper, target = self._keeper, self._target.database
        objects = catalog.object_counts(keeper, self._name)
        publish.create_target(keeper, self._name, target, self._expected)
        publish.rename_tables(keeper, self._name, target)
        publish.create_stored_objects(self._client, target, self._scripts)
        self._refuse_other_definers(target)
        publish.complete_target(keeper, target, objects)

    def _partial_load(self, selection: Selection | None) -> SelectiveLoad | None:
        if selection is None:
            return None
        return SelectiveLoad(
            selection,
            create=self._load_schema,
            finish=self._load_programs,
            drop=self._drop_key,
            start=self._started,
            tell=self._progress.note,
        )

    def _started(self, progress: Progress) -> CommandSink:
        client = replace(
            self._client,
            idle=self._keep_alive.check_then(lambda: progress.advance(0)),
            session=f"{self._client.session}, innodb_lock_wait_timeout = {LOAD_LOCK_SECONDS}",
        )
        return client.start(self._name)

    def _drop_key(self, key: ForeignKey) -> None:
        table = f"{quoted(self._name)}.{quoted(key.table)}"
        with self._session() as connection:
            connection.execute(f"ALTER TABLE {table} DROP FOREIGN KEY {quoted(key.name)}")

    def _client_program(self) -> ClientProgram:
        settings = [f"wait_timeout = {A_YEAR}"]
        if check_server.SKIP_BINARY_LOG in self._request.options:
            settings.append("sql_log_bin = 0")
        if self._keeper.version.is_mariadb:
            settings.append(check_constraints.UNCHECKED)
        settings.append(key_rules.set_off(self._keeper))
        session = f"SET SESSION {', '.join(filter(None, settings))}"
        return ClientProgram(
            self._settings,
            self._password,
            self._select_clients(self._keeper.version),
            self._keeper.is_encrypted,
            session,
            self._keep_alive.check_then(lambda: self._progress.advance(0)),
        )

    def _load_schema(self, script: Script) -> None:
        script = requalify.with_sequences_in(script, self._original, self._name)
        self._client.run(self._copy.with_own_places(script, self._keeper), self._name)

    def _load_programs(self, script: Script) -> None:
        script = self._with_definer(script)
        self._client.run(copies.programs_in(script, self._expected, self._name), self._name)
        self._copy.note_programs(script)
        self._add_script(copies.programs_in(script, self._expected, self._target.database))

    def _load_events(self, script: Script) -> None:
        script = self._copy.with_past_events(script, self._keeper)
        self._awake = self._copy.events_to_run(script)
        self._client.run(self._with_definer(rewrite.disable_events(script)), self._name)
        self._add_script(self._with_definer(rewrite.disable_events(script, keep=self._awake)))

    def _add_script(self, script: Script) -> None:
        """For the target, in which it runs again."""
        self._scripts.append(script)
        self._stack.callback(close, script)

    def _with_definer(self, script: Script) -> Script:
        account = check_server.definer_of(self._request)
        return rewrite.with_definer(script, account) if account else script

    def _refuse_other_definers(self, database: str) -> None:
        """Raise `Incomplete` if an object still has the old definer where another was requested."""
        if self._request.owner_policy is OwnerPolicy.KEEP:
            return
        found = catalog.definers(self._keeper, database)
        if len(found) > 1:
            raise DatabaseError(f"views or routines kept other definers: {', '.join(found)}")

    def _read_inventory(self, stop: Callable[[], bool]) -> Inventory:
        keeper, name = self._keeper, self._name
        listing = list_tables(keeper, name)
        wanted = {table.name for table in self._expected.tables if table.exact}
        all_of_them = not self._expected.tables
        listing = self._as_recorded(listing)
        counted = [table for table in listing.tables if all_of_them or table.name in wanted]
        keeper.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        rows = counts.count(keeper, name, counted, stop=stop)
        return build.read_inventory(keeper, name, listing, counts=rows)

    def _as_recorded(self, listing: TableListing) -> TableListing:
        """With the names of the backup, where this server has them in small letters."""
        if not requirements.lower_case(self._keeper):
            return listing
        recorded = {table.name.lower(): table.name for table in self._expected.tables}
        tables = (
            replace(table, name=recorded.get(table.name.lower(), table.name))
            for table in listing.tables
        )
        return replace(listing, tables=tuple(tables))

    def _in_background(self, work: Callable[[Callable[[], bool]], T]) -> T:
        running = in_background(self._keeper, self._password, work)
        try:
            return running.result(on_wait=lambda: self._progress.advance(0))
        finally:
            running.stop()

    def _undo(self) -> None:
        """Drop the scratch database, and the target if it is not whole."""
        try:
            with self._session() as connection:
                if self.retained_as:
                    # A server that crashed may have moved some of its tables and not others.
                    exchange.recover(connection)
                scratch.end_sessions(connection, self._name)
                scratch.drop_unfinished(connection, self._name)
                scratch.drop(connection, self._name, say=self._progress.note)
        except (CovetError, pymysql.err.Error) as error:
            # The restore's own failure may be on its way up already; a cleanup will remove this.
            _log.warning("scratch database stays until a cleanup scratch=%s %s", self._name, error)
            self.unremoved = f"scratch database {self._name!r} is left: {error}"
            self._progress.note(self.unremoved)
