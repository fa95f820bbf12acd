"""The engine of MySQL and MariaDB: chooses client programs, opens backup and restore sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSession,
    Probe,
    RestoreSession,
)
from covetbackup.core.databases.checks import Check
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.kind import Address, Capabilities, Kind, no_export
from covetbackup.core.databases.mysql.archive.members import MAP, PROGRAMS, SCHEMA
from covetbackup.core.databases.mysql.archive.selection import BackupListing
from covetbackup.core.databases.mysql.backup import session
from covetbackup.core.databases.mysql.backup.dump import check_member
from covetbackup.core.databases.mysql.inventory.build import probe_of
from covetbackup.core.databases.mysql.inventory.databases import discover, refuse_absent
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace.replacement import MysqlReplacement
from covetbackup.core.databases.mysql.restore import new_database, scratch
from covetbackup.core.databases.mysql.restore.checks import check_new_database
from covetbackup.core.databases.mysql.restore.features import FEATURES
from covetbackup.core.databases.mysql.restore.into_existing.checks import check_existing_database
from covetbackup.core.databases.mysql.restore.into_existing.data_only import DataOnlyRestore
from covetbackup.core.databases.mysql.restore.target import MysqlTarget
from covetbackup.core.databases.mysql.server import programs
from covetbackup.core.databases.mysql.server.clients import (
    MysqlClients,
    find_clients,
    select_clients,
)
from covetbackup.core.databases.mysql.server.connection import connect, translated
from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.probe import probe_server
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.mysql.server.url import parse_server, parse_url, to_url
from covetbackup.core.databases.programs import Program
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.server import Discovered, ServerLocation, ServerProbe
from covetbackup.core.databases.url_format import scratch_address
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.secret import Secret


class MysqlEngine:
    """An `Engine` for one database; its one method is "logical".

    `client_directories` replaces the usual places in which client programs are looked for.
    """

    kind = "mysql"
    methods = (session.METHOD,)

    def __init__(
        self,
        settings: MysqlSettings,
        password: Secret | None = None,
        *,
        client_directories: Sequence[Path] = (),
    ) -> None:
        self._settings = settings
        self._password = password
        self._client_directories = client_directories

    def probe(self) -> Probe:
        with translated(self._settings), connect(self._settings, self._password) as connection:
            refuse_absent(connection)
            listing = list_tables(connection, self._settings.database)
            return probe_of(connection, self._clients(connection.version), listing)

    def probe_server(self, is_included: Callable[[str], bool], catalog: str) -> ServerProbe:
        """Probe the server; it never holds a catalog."""
        return probe_server(
            self._settings, self._password, select=self._clients, is_included=is_included
        )

    def discover(self) -> Discovered:
        with translated(self._settings), connect(self._settings, self._password) as connection:
            return discover(connection)

    def backup(
        self, options: BackupOptions, progress: Progress
    ) -> AbstractContextManager[BackupSession]:
        """Also raises `Unreadable` on entry, naming what this account cannot dump."""
        if options.method not in ("", *self.methods):
            raise BadSetting(f"MySQL has no backup method {options.method!r}", "use logical")
        return session.open_backup(
            self._settings, self._password, options, select_clients=self._clients, progress=progress
        )

    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> AbstractContextManager[RestoreSession]:
        """Open a restore into a scratch database whose tables the commit moves to the target.

        `request.owner` is in whose name views, triggers, routines and events run: "keep" (the
        original's definers), "none" (the restoring account) or an account as user@host;
        `create_roles` creates missing accounts, as far as they belong to the database. Options:
        `skip_binary_log` keeps the restore out of the binary log; `enable_events` lets the events
        of a copy under another name run.

        Rows without structure are added to the tables of the existing database in one
        transaction.
        """
        if request.into_existing and request.has_structure:
            raise BadSetting(
                "a MySQL or MariaDB database that is there takes only rows", "use --data-only"
            )
        selection = request.selection
        if selection is not None and request.is_in_place:
            return DataOnlyRestore(
                self._settings, self._password, request, selection, expected, progress
            )
        return new_database.LogicalRestore(
            self._settings,
            self._password,
            request,
            expected,
            select_clients=self._clients,
            progress=progress,
        )

    def check_restore(self, planned: PlannedRestore) -> list[Check]:
        check = check_existing_database if planned.request.is_in_place else check_new_database
        return check(self._settings, self._password, planned)

    def target(self) -> MysqlTarget:
        return MysqlTarget(self._settings, self._password)

    def replacement(self) -> MysqlReplacement:
        return MysqlReplacement(self._settings, self._password)

    def check(self, member: str) -> Filter | None:
        return check_member(member)

    def _clients(self, server: Version) -> MysqlClients:
        return select_clients(find_clients(self._client_directories), server)


class MysqlKind:
    """MySQL and MariaDB as a `Kind`."""

    capabilities = Capabilities(FEATURES, default_port=3306, parallel_methods=(session.METHOD,))

    def open_url(self, url: str, password: Secret | None) -> Address:
        settings = parse_url(url)
        return Address(MysqlEngine(settings, password), settings.where, settings.database)

    def open(
        self,
        location: ServerLocation,
        name: str | None,
        password: Secret | None,
        path_of: Callable[[str], Path] | None = None,
    ) -> Address:
        settings = _settings(location, name or "")
        return Address(MysqlEngine(settings, password), settings.where, settings.database)

    def url_of(self, location: ServerLocation, name: str) -> str:
        return to_url(_settings(location, name))

    def server_at(self, url: str) -> ServerLocation:
        found = parse_server(url)
        return ServerLocation(
            host=found.host or found.socket,
            port=found.port,
            user=found.user,
            sslmode=found.sslmode,
            sslrootcert=found.sslrootcert,
        )

    def own_location(self, name: str, ask: Callable[[str], object]) -> str:
        return ""

    def cleanup(self, url: str, before: datetime, password: Secret | None) -> list[str]:
        return scratch.cleanup_scratch(parse_server(url), before, password)

    def scratch_target(self, server: str) -> AbstractContextManager[str]:
        return scratch_address(MysqlEngine.kind, server)

    def programs(self, server_versions: Iterable[str]) -> tuple[list[Program], list[Check]]:
        found = find_clients()
        return programs.programs(found), programs.missing_programs(found, server_versions)

    def check_member(self, member: str) -> Filter | None:
        return check_member(member)

    def listing(
        self, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
    ) -> BackupListing:
        return BackupListing(read(MAP), read(SCHEMA), read(PROGRAMS))

    def export(self, open_stream: Callable[[str], Source], folder: Path) -> None:
        raise no_export(MysqlEngine.kind)


def _settings(location: ServerLocation, database: str) -> MysqlSettings:
    # The host may be the file of a socket.
    is_socket = location.host.startswith("/")
    return MysqlSettings(
        host="" if is_socket else location.host,
        socket=location.host if is_socket else "",
        user=location.user,
        database=database,
        port=location.port,
        sslmode=location.sslmode,
        sslrootcert=location.sslrootcert,
        address=location.address,
    )


KIND: Kind = MysqlKind()
