"""The programs and libraries that read and write databases on this machine.

A worker on another machine has its own; there, `manage.py check --deploy` says which.
"""

from __future__ import annotations

import platform
import sqlite3
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from backups.models import Server
from backups.models.source import ServerKind
from covetbackup.condition.trouble import Trouble
from covetbackup.core.databases.postgresql.clients import Clients, choose_clients, find_clients
from covetbackup.core.errors import ConfigurationError

PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore")


@dataclass(frozen=True, slots=True)
class Program:
    """`place` is a folder, or says what the program is part of."""

    name: str
    version: str
    place: str


def programs_here() -> tuple[list[Program], list[Trouble]]:
    """What is found, and what is missing or too old for the servers in the catalog."""
    clients = find_clients()
    found = [Program(", ".join(PROGRAMS), one.version, str(one.directory)) for one in clients]
    found += [
        Program("SQLite", sqlite3.sqlite_version, "library of Python"),
        Program("Python", platform.python_version(), platform.python_implementation()),
        Program("OpenSSL", ssl.OPENSSL_VERSION.split()[1], "library of Python"),
    ]
    return found, list(_troubles(clients, _majors(_versions())))


def _versions() -> Iterable[str]:
    servers = Server.objects.filter(kind=ServerKind.POSTGRESQL)
    return servers.exclude(version="").order_by().values_list("version", flat=True).distinct()


def _majors(versions: Iterable[str]) -> list[int]:
    firsts = {version.partition(".")[0].split()[0] for version in versions}
    return sorted(int(first) for first in firsts if first.isdigit())


def _troubles(clients: Sequence[Clients], majors: Sequence[int]) -> Iterator[Trouble]:
    if not clients:
        names = ", ".join(PROGRAMS)
        package = f"postgresql-client-{majors[-1]}" if majors else "postgresql-client"
        yield Trouble("warn", f"{names} are not installed here", f"apt install {package}")
        return
    for major in majors:
        try:
            choose_clients(clients, major=major)
        except ConfigurationError as error:
            yield Trouble("warn", error.message, f"apt install postgresql-client-{major}")
