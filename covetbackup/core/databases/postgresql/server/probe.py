"""The test of a connection to a PostgreSQL server: what can be backed up, and what to grant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.postgresql.inventory import dumpable_objects
from covetbackup.core.databases.postgresql.server.clients import PostgresClients
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    connect,
    major_of,
    translated,
)
from covetbackup.core.databases.postgresql.server.location import database_at
from covetbackup.core.databases.server import ServerProbe
from covetbackup.core.errors import ConfigurationError, DatabaseUnavailable, Unreadable
from covetbackup.core.stream.secret import Secret

_INSPECT_SECONDS = 2.5
"""How long databases are inspected one by one; a server with hundreds is inspected in part."""

_DATABASES = """
SELECT datname, quote_ident(datname), has_database_privilege(oid, 'CONNECT') FROM pg_database
WHERE datallowconn AND NOT datistemplate ORDER BY datname
"""
_ROLE = """
SELECT quote_ident(rolname), rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user
"""


@dataclass(slots=True)
class ServerTest:
    """A test of the server at `settings`; `run` connects.

    `select` returns the client programs for a major version, `is_included` whether a database is
    backed up, and `catalog` is the location of the dashboard's own catalog, "" if there is none.
    """

    settings: PostgresSettings
    password: Secret | None
    select: Callable[[int], PostgresClients]
    is_included: Callable[[str], bool]
    catalog: str
    role: str = ""
    major: int = 0
    checks: list[Check] = field(default_factory=list)

    def run(self) -> ServerProbe:
        """Return what was found. Raises `DatabaseUnavailable`."""
        with self._connection(self.settings) as connection:
            self.major = major_of(connection)
            version = connection.info.parameter_status("server_version") or ""
            row = connection.execute(_ROLE).fetchone()
            assert row is not None
            self.role, is_superuser, may_create = row
            listed = connection.execute(_DATABASES).fetchall()
            self._note_catalog(database_at(connection, self.catalog))
        tool = self._tool()
        reachable = list(self._reachable([entry for entry in listed if self.is_included(entry[0])]))
        inspected = len(reachable) if is_superuser else self._inspect(reachable)
        if not (is_superuser or may_create):
            self._note_no_restores()
        return ServerProbe(version, tool, len(listed), inspected, tuple(self.checks))

    def _connection(self, settings: PostgresSettings) -> Connection:
        return connect(settings, self.password, application="covetbackup test")

    def _tool(self) -> str:
        try:
            return self.select(self.major).version
        except ConfigurationError as error:
            self._note("Client programs are missing", error.message, error.hint)
            return ""

    def _reachable(self, listed: Sequence[tuple[str, str, bool]]) -> Iterator[str]:
        for name, quoted, may_connect in listed:
            if may_connect:
                yield name
                continue
            detail = f"the role {self.role} has no right to connect"
            grant = f"GRANT CONNECT ON DATABASE {quoted} TO {self.role};"
            self._note(f"Database {name} cannot be opened", detail, grant)

    def _inspect(self, names: Sequence[str]) -> int:
        """Open databases while there is time, and return how many were opened.

        What cannot be read in them is noted.
        """
        deadline = time.monotonic() + _INSPECT_SECONDS
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
                self._note(f"Database {name} cannot be opened", error.message, error.hint)
        return len(names)

    def _note(self, title: str, detail: str, fix: str, level: Level = Level.FAIL) -> None:
        self.checks.append(Check(level, title, detail, fix))

    def _note_unreadable(self, name: str, error: Unreadable) -> None:
        grants = error.hint.partition(": ")[2]
        if self.major >= 14 and "GRANT SELECT ON TABLE" in grants:
            # One right for all tables, those of tomorrow too; row-level security needs its own.
            grants = f"GRANT pg_read_all_data TO {self.role};\n-- or, one by one:\n{grants}"
        self._note(f"Database {name} cannot be read whole", error.message, grants)

    def _note_catalog(self, name: str | None) -> None:
        if name is not None and self.is_included(name):
            detail = (
                "it is backed up like the others, but a restore never takes its place or changes "
                "it, and a dashboard that is started on a copy begins in quarantine; after a loss "
                "set up a fresh installation and fill its catalog with rebuild_catalog"
            )
            self._note(f"{name} is the catalog of this dashboard", detail, "", Level.WARNING)

    def _note_no_restores(self) -> None:
        detail = f"the role {self.role} may not create databases; backups work without"
        fix = f"ALTER ROLE {self.role} CREATEDB;"
        self._note("Restores to this server are not possible", detail, fix, Level.WARNING)
