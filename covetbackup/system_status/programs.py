"""The programs and libraries that read and write databases on this machine.

A worker on another machine has its own; there, `covetbackup check --deploy` says which.
"""

from __future__ import annotations

import platform
import sqlite3
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backups.models import Server
from backups.models.source import ServerKind
from covetbackup.core.databases.mysql.server import clients as mysql
from covetbackup.core.databases.mysql.server.flavour import version_of
from covetbackup.core.databases.postgresql.server.clients import (
    Clients,
    find_clients,
    select_clients,
)
from covetbackup.core.errors import ConfigurationError
from covetbackup.system_status.issue import Issue

PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore")


@dataclass(frozen=True, slots=True)
class Program:
    """`place` is a folder, or says what the program is part of."""

    name: str
    version: str
    place: str


def programs_here() -> tuple[list[Program], list[Issue]]:
    """What is found, and what is missing or too old for the servers in the catalog."""
    clients, for_mysql = find_clients(), mysql.find_clients()
    found = [Program(", ".join(PROGRAMS), one.version, str(one.directory)) for one in clients]
    found += map(_mysql_program, for_mysql)
    found += [
        Program("SQLite", sqlite3.sqlite_version, "library of Python"),
        Program("Python", platform.python_version(), platform.python_implementation()),
        Program("OpenSSL", ssl.OPENSSL_VERSION.split()[1], "library of Python"),
    ]
    issues = [
        *_troubles(clients, _majors(_versions(ServerKind.POSTGRESQL))),
        *_mysql_troubles(for_mysql, _versions(ServerKind.MYSQL)),
    ]
    return found, issues


def _mysql_program(one: mysql.Clients) -> Program:
    dump, client = Path(one.dump), Path(one.client)
    return Program(f"{dump.name}, {client.name}", str(one.version), str(dump.parent))


def _versions(kind: ServerKind) -> Iterable[str]:
    servers = Server.objects.filter(kind=kind)
    return servers.exclude(version="").order_by().values_list("version", flat=True).distinct()


def _majors(versions: Iterable[str]) -> list[int]:
    firsts = {version.partition(".")[0].split()[0] for version in versions}
    return sorted(int(first) for first in firsts if first.isdigit())


def _troubles(clients: Sequence[Clients], majors: Sequence[int]) -> Iterator[Issue]:
    if not clients:
        names = ", ".join(PROGRAMS)
        package = f"postgresql-client-{majors[-1]}" if majors else "postgresql-client"
        yield Issue("warn", f"{names} are not installed here", f"apt install {package}")
        return
    for major in majors:
        try:
            select_clients(clients, major=major)
        except ConfigurationError as error:
            yield Issue("warn", error.message, f"apt install postgresql-client-{major}")


def _mysql_troubles(found: Sequence[mysql.Clients], versions: Iterable[str]) -> Iterator[Issue]:
    """One for each flavour whose programs are missing: another version of them will do."""
    missing = {}
    for version in versions:
        try:
            mysql.choose_clients(found, version_of(version))
        except ConfigurationError as error:
            missing[error.message] = error.hint
    for message, hint in missing.items():
        yield Issue("warn", message, hint)
