"""The test of a connection: can this server be backed up, and if not, what must be granted?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from django.utils import timezone

from backups import discovery, engine_factory
from backups.catalog_location import place_of_catalog
from backups.connection_check import Finding, ServerCheck
from backups.models import Server
from backups.models.source import ServerKind
from backups.own_catalog import catalog_on
from backups.probing_mysql import MysqlProbe
from backups.timeout import within
from covetbackup.core.databases.postgresql.inventory import dumpable_objects
from covetbackup.core.databases.postgresql.server.clients import find_clients, select_clients
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    ConnectionSettings,
    connect,
    major_of,
    translated,
)
from covetbackup.core.errors import ConfigurationError, CovetError, DatabaseUnavailable, Unreadable
from covetbackup.core.stream.secret import Secret

_LIMIT_SECONDS = 5.0
_LOOK_SECONDS = 2.5
"""How long databases are looked at one by one; a server with hundreds is looked at in part."""


def probe_server(server: Server) -> ServerCheck:
    """Test the connection of a saved `server`, which remembers the result. Errors: `try_server`."""
    try:
        check = try_server(server)
    except CovetError as error:
        discovery.note_failure(server, error)
        raise
    remember(server, check)
    return check


def try_server(server: Server, *, password: Secret | None = None) -> ServerCheck:
    """Test the connection of `server` as it is in memory, saved or not; no row is touched.

    `password` is used instead of the stored one. Raises `DatabaseUnavailable` (also after 5 s
    without an answer), `BadSetting`, `SecretsLocked`.
    """
    late = DatabaseUnavailable(
        f"{server.name} did not answer within {_LIMIT_SECONDS:.0f} s",
        "is the host reachable from here, or does a firewall drop packets?",
    )
    return within(_LIMIT_SECONDS, _probe(server, password), late=late)


def remember(server: Server, check: ServerCheck) -> None:
    """Write to the saved `server` what its test found."""
    blocking = [finding.title for finding in check.findings if finding.is_blocking]
    server.version, server.checked_at = check.version[:64], timezone.now()
    server.problem, server.is_unreachable = "; ".join(blocking), False
    server.save(update_fields=["version", "checked_at", "problem", "is_unreachable"])


def _probe(server: Server, password: Secret | None) -> Callable[[], ServerCheck]:
    """What to do in the background; all of it that needs the catalog is done here and now."""
    return _PROBES[ServerKind(server.kind)](server, password)


def _postgresql(server: Server, password: Secret | None) -> Callable[[], ServerCheck]:
    settings = engine_factory.connection_settings(server, server.maintenance_database or "postgres")
    known = _password(server, password), _wanted(server)
    return _PostgresProbe(settings, *known, place_of_catalog())


def _mysql(server: Server, password: Secret | None) -> Callable[[], ServerCheck]:
    settings = engine_factory.mysql_settings(server)
    return MysqlProbe(settings, _password(server, password), _wanted(server))


def _sqlite(server: Server, password: Secret | None) -> Callable[[], ServerCheck]:
    return partial(_probe_sqlite, server)


_PROBES = {
    ServerKind.POSTGRESQL: _postgresql,
    ServerKind.MYSQL: _mysql,
    ServerKind.SQLITE: _sqlite,
}


def _password(server: Server, given: Secret | None) -> Secret | None:
    return engine_factory.server_password(server) if given is None and server.pk else given


def _wanted(server: Server) -> Callable[[str], bool]:
    return partial(discovery.is_wanted, include=server.include, exclude=server.exclude)


def _probe_sqlite(server: Server) -> ServerCheck:
    found, unusable = discovery.list_databases(server)
    findings = [
        Finding("A file cannot be used", problem, "let the worker's user read it, or rename it")
        for problem in unusable
    ]
    deadline = time.monotonic() + _LOOK_SECONDS
    version, looked_at = "", 0
    for entry in found:
        if time.monotonic() > deadline:
            break
        if not discovery.is_wanted(entry.name, server.include, server.exclude):
            continue
        looked_at += 1
        try:
            version = engine_factory.engine_on(server, entry.name).engine.probe().server_version
        except CovetError as error:
            findings.append(Finding(f"{entry.name} cannot be opened", error.message, error.hint))
    return ServerCheck(version, version, len(found), looked_at, tuple(findings))


_LISTED = """
SELECT datname, quote_ident(datname), has_database_privilege(oid, 'CONNECT') FROM pg_database
WHERE datallowconn AND NOT datistemplate ORDER BY datname
"""
_ROLE = """
SELECT quote_ident(rolname), rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user
"""


@dataclass(slots=True)
class _PostgresProbe:
    settings: ConnectionSettings
    password: Secret | None
    wanted: Callable[[str], bool]
    catalog: str
    role: str = ""
    major: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __call__(self) -> ServerCheck:
        with self._connection(self.settings) as connection:
            self.major = major_of(connection)
            version = connection.info.parameter_status("server_version") or ""
            row = connection.execute(_ROLE).fetchone()
            assert row is not None
            self.role, is_superuser, may_create = row
            listed = connection.execute(_LISTED).fetchall()
            self._note_catalog(catalog_on(connection, self.catalog))
        tool = self._tool()
        reachable = list(self._reachable([entry for entry in listed if self.wanted(entry[0])]))
        looked_at = len(reachable) if is_superuser else self._look(reachable)
        if not (is_superuser or may_create):
            self._note_no_restores()
        return ServerCheck(version, tool, len(listed), looked_at, tuple(self.findings))

    def _connection(self, settings: ConnectionSettings) -> Connection:
        return connect(settings, self.password, application="covetbackup test")

    def _tool(self) -> str:
        try:
            return select_clients(find_clients(), major=self.major).version
        except ConfigurationError as error:
            self.findings.append(Finding("Client programs are missing", error.message, error.hint))
            return ""

    def _reachable(self, listed: list[tuple[str, str, bool]]) -> Iterator[str]:
        for name, quoted, may_connect in listed:
            if may_connect:
                yield name
                continue
            detail = f"the role {self.role} has no right to connect"
            grant = f"GRANT CONNECT ON DATABASE {quoted} TO {self.role};"
            self.findings.append(Finding(f"Database {name} cannot be opened", detail, grant))

    def _look(self, names: list[str]) -> int:
        """Open databases as long as there is time and say what in them cannot be read."""
        deadline = time.monotonic() + _LOOK_SECONDS
        for number, name in enumerate(names):
            if time.monotonic() > deadline:
                return number
            there = self.settings.on(name)
            try:
                with translated(there), self._connection(there) as connection:
                    dumpable_objects.refuse_unreadable(connection)
            except Unreadable as error:
                self._note_unreadable(name, error)
            except DatabaseUnavailable as error:
                title = f"Database {name} cannot be opened"
                self.findings.append(Finding(title, error.message, error.hint))
        return len(names)

    def _note_unreadable(self, name: str, error: Unreadable) -> None:
        grants = error.hint.partition(": ")[2]
        if self.major >= 14 and "GRANT SELECT ON TABLE" in grants:
            # One right for all tables, those of tomorrow too; row-level security needs its own.
            grants = f"GRANT pg_read_all_data TO {self.role};\n-- or, one by one:\n{grants}"
        title = f"Database {name} cannot be read whole"
        self.findings.append(Finding(title, error.message, grants))

    def _note_catalog(self, name: str | None) -> None:
        if name is not None and self.wanted(name):
            detail = (
                "it is backed up like the others, but a restore never takes its place or changes "
                "it, and a dashboard that is started on a copy begins in quarantine; after a loss "
                "set up a fresh installation and fill its catalog with rebuild_catalog"
            )
            title = f"{name} is the catalog of this dashboard"
            self.findings.append(Finding(title, detail, "", is_blocking=False))

    def _note_no_restores(self) -> None:
        self.findings.append(
            Finding(
                "Restores to this server are not possible",
                f"the role {self.role} may not create databases; backups work without",
                f"ALTER ROLE {self.role} CREATEDB;",
                is_blocking=False,
            )
        )
