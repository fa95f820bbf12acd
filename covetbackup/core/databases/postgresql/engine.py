"""The PostgreSQL engine: selects client programs, and opens backup and restore sessions."""

from __future__ import annotations

import secrets
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
from covetbackup.core.databases.kind import Address, Capabilities, Kind
from covetbackup.core.databases.postgresql.archive.check import check_member
from covetbackup.core.databases.postgresql.archive.directory import export_directory
from covetbackup.core.databases.postgresql.archive.listing import ArchiveListing, listing_member
from covetbackup.core.databases.postgresql.archive.member_names import DUMP
from covetbackup.core.databases.postgresql.backup import session
from covetbackup.core.databases.postgresql.backup.parallel import METHOD as PARALLEL
from covetbackup.core.databases.postgresql.backup.single_stream import METHOD as LOGICAL
from covetbackup.core.databases.postgresql.inventory.databases import discover
from covetbackup.core.databases.postgresql.replace.replacement import PostgresReplacement
from covetbackup.core.databases.postgresql.restore import check_server, new_database, scratch
from covetbackup.core.databases.postgresql.restore.checks import check_new_database
from covetbackup.core.databases.postgresql.restore.features import FEATURES
from covetbackup.core.databases.postgresql.restore.into_existing.checks import (
    check_existing_database,
)
from covetbackup.core.databases.postgresql.restore.into_existing.session import (
    InPlaceRestore,
    open_in_place_restore,
)
from covetbackup.core.databases.postgresql.restore.target import PostgresTarget
from covetbackup.core.databases.postgresql.server import programs
from covetbackup.core.databases.postgresql.server.access import ServerAccess
from covetbackup.core.databases.postgresql.server.clients import (
    PostgresClients,
    find_clients,
    select_clients,
)
from covetbackup.core.databases.postgresql.server.connection import (
    PostgresSettings,
    connect,
    major_of,
    translated,
)
from covetbackup.core.databases.postgresql.server.location import location_asked
from covetbackup.core.databases.postgresql.server.probe import ServerTest
from covetbackup.core.databases.postgresql.server.url import parse_url, to_url, with_database
from covetbackup.core.databases.programs import Program
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.server import Discovered, ServerLocation, ServerProbe
from covetbackup.core.databases.url_format import scratch_address
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.secret import Secret

_MAINTENANCE = "postgres"


class PostgresEngine:
    """An `Engine` for one PostgreSQL database.

    Its methods: "parallel", a dump in parts that are read at once, and "logical", one stream of
    pg_dump; without a method it is parallel where it can be. `client_directories` replaces the
    usual places in which client programs are looked for.
    """

    kind = "postgresql"
    methods = (PARALLEL, LOGICAL)

    def __init__(
        self,
        settings: PostgresSettings,
        password: Secret | None = None,
        *,
        client_directories: Sequence[Path] = (),
    ) -> None:
        self._settings = settings
        self._password = password
        self._client_directories = client_directories

    def probe(self) -> Probe:
        with (
            translated(self._settings),
            connect(self._settings, self._password, application="covetbackup") as connection,
        ):
            return session.probe(connection, self._clients(major_of(connection)))

    def probe_server(self, is_included: Callable[[str], bool], catalog: str) -> ServerProbe:
        return ServerTest(self._settings, self._password, self._clients, is_included, catalog).run()

    def discover(self) -> Discovered:
        with (
            translated(self._settings),
            connect(
                self._settings, self._password, application="covetbackup discovery"
            ) as connection,
        ):
            return discover(connection)

    def backup(
        self, options: BackupOptions, progress: Progress
    ) -> AbstractContextManager[BackupSession]:
        """Open a backup; raise `Unreadable` on entry, naming each object this role cannot dump."""
        if options.method not in ("", *self.methods):
            raise BadSetting(
                f"PostgreSQL has no backup method {options.method!r}",
                f"one of: {', '.join(self.methods)}",
            )
        return session.open_backup(
            self._access(self._settings),
            options.method or PARALLEL,
            select_clients=self._clients,
            progress=progress,
        )

    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> AbstractContextManager[RestoreSession]:
        """Open a restore into a scratch database that the commit renames to the target's name.

        `request.owner` is "keep" (owners and grants of the original, whose roles must exist),
        "none" (all belongs to the restoring role) or the name of the role that shall own all;
        `create_roles` creates missing roles from `globals.sql` first. Options: `skip_failing`
        leaves out statements that the server refuses and that no rows depend on, which the
        session's notes name; `leave_out_scheduler` leaves out extensions that only one database
        of a server can have, even where they could be created.

        An in-place restore is one transaction in the existing database, which the commit ends.
        """
        check_server.refuse_options(request)
        if request.is_in_place:
            return self._restore_in_place(request, expected, progress)
        return new_database.open_restore(
            self._access(self._settings),
            request,
            expected,
            select_clients=self._clients,
            progress=progress,
        )

    def _restore_in_place(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> AbstractContextManager[InPlaceRestore]:
        if request.selection is None:
            raise BadSetting(
                "into a database that is there goes only what is selected",
                "select tables or schemas, or restore everything under a new name",
            )
        settings = self._settings.on(request.database or self._settings.database)
        return open_in_place_restore(
            self._access(settings),
            request,
            request.selection,
            expected,
            select_clients=self._clients,
            progress=progress,
        )

    def check_restore(self, planned: PlannedRestore) -> list[Check]:
        if planned.request.is_in_place:
            target = self._settings.on(planned.request.database)
            return check_existing_database(target, self._password, planned)
        return check_new_database(self._settings, self._password, planned)

    def target(self) -> PostgresTarget:
        return PostgresTarget(self._settings, self._password)

    def replacement(self) -> PostgresReplacement:
        return PostgresReplacement(self._settings, self._password)

    def check(self, member: str) -> Filter | None:
        """Return a filter that reads the whole archive with pg_restore.

        A backup does not need it: the dump's own source checks pg_dump's status and that a list of
        contents names every table.
        """
        return check_member(member, directories=self._client_directories)

    def _access(self, settings: PostgresSettings) -> ServerAccess:
        return ServerAccess(settings, self._password, f"covetbackup {secrets.token_hex(4)}")

    def _clients(self, major: int) -> PostgresClients:
        return select_clients(find_clients(self._client_directories), major=major)


class PostgresKind:
    """PostgreSQL as a `Kind`."""

    capabilities = Capabilities(
        FEATURES, default_port=5432, maintenance_database=_MAINTENANCE, parallel_methods=(PARALLEL,)
    )

    def open_url(self, url: str, password: Secret | None) -> Address:
        settings = parse_url(url)
        where = f"{settings.host}:{settings.port}"
        return Address(PostgresEngine(settings, password), where, settings.database)

    def open(
        self,
        location: ServerLocation,
        name: str | None,
        password: Secret | None,
        path_of: Callable[[str], Path] | None = None,
    ) -> Address:
        if name is None:
            name = location.maintenance_database or _MAINTENANCE
        where = f"{location.host}:{location.port}"
        return Address(PostgresEngine(_settings(location, name), password), where, name)

    def url_of(self, location: ServerLocation, name: str) -> str:
        return to_url(_settings(location, name))

    def server_at(self, url: str) -> ServerLocation:
        found = parse_url(url)
        return ServerLocation(
            host=found.host,
            port=found.port,
            user=found.user,
            sslmode=found.sslmode,
            sslrootcert=found.sslrootcert,
            maintenance_database=found.database,
        )

    def own_location(self, name: str, ask: Callable[[str], object]) -> str:
        return location_asked(ask)

    def cleanup(self, url: str, before: datetime, password: Secret | None) -> list[str]:
        maintenance = with_database(url, _MAINTENANCE)
        return scratch.cleanup_scratch(parse_url(maintenance), before, password)

    def scratch_target(self, server: str) -> AbstractContextManager[str]:
        return scratch_address(PostgresEngine.kind, server)

    def programs(self, server_versions: Iterable[str]) -> tuple[list[Program], list[Check]]:
        found = find_clients()
        return programs.programs(found), list(programs.missing_programs(found, server_versions))

    def check_member(self, member: str) -> Filter | None:
        return check_member(member)

    def listing(
        self, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
    ) -> ArchiveListing:
        return ArchiveListing(read(listing_member(members)), members, expected)

    def export(self, open_stream: Callable[[str], Source], folder: Path) -> None:
        """Write the dump as a directory that pg_restore loads with several connections."""
        with open_stream(DUMP) as chunks:
            export_directory(chunks, folder)


def _settings(location: ServerLocation, database: str) -> PostgresSettings:
    return PostgresSettings(
        host=location.host,
        user=location.user,
        database=database,
        port=location.port,
        sslmode=location.sslmode,
        sslrootcert=location.sslrootcert,
        address=location.address,
    )


KIND: Kind = PostgresKind()
