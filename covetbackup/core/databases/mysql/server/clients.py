"""Selection of the client programs for a server: the dump program and the client of its flavour.

They are not interchangeable: mariadb-dump of a MySQL server ends with status 0 and writes a dump
that cannot be restored; mysqldump mangles MariaDB's non-ASCII table names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from covetbackup.core.databases.mysql.server.flavour import Flavour, Version, version_of
from covetbackup.core.errors import BadSetting, StreamError, ToolMissing
from covetbackup.core.stream.process import run

_PAIRS = (("mariadb-dump", "mariadb"), ("mysqldump", "mysql"))
_DISTRIBUTION = re.compile(r"Distrib ([^\s,]+)|from ([^\s,]+)|Ver (\d+\.\d+\.\d+\S*)")
_HINTS = {
    Flavour.MARIADB: "install mariadb-client (the name of the package in Debian and Ubuntu)",
    Flavour.MYSQL: "install MySQL's own client: mysql-client in Ubuntu and Debian sid,"
    " mysql-community-client from MySQL; Debian's default-mysql-client is MariaDB's",
}


@dataclass(frozen=True, slots=True)
class MysqlClients:
    """A dump program and a client of one version, as absolute paths."""

    dump: str
    client: str
    version: Version


def find_clients(directories: Sequence[Path] = ()) -> list[MysqlClients]:
    """Return all pairs of programs in `directories`, or else in PATH."""
    directories = directories or [Path(entry) for entry in os.get_exec_path() if entry[:1] == "/"]
    return list(_scan(directories))


def _scan(directories: Sequence[Path]) -> Iterator[MysqlClients]:
    seen = set()
    for directory in directories:
        for dump, client in _PAIRS:
            paths = directory / dump, directory / client
            if paths[0].resolve() in seen or not all(os.access(path, os.X_OK) for path in paths):
                continue
            seen.add(paths[0].resolve())
            version = _version(paths[0])
            if version is not None:
                yield MysqlClients(str(paths[0]), str(paths[1]), version)


def _version(program: Path) -> Version | None:
    try:
        printed = run([str(program), "--version"]).output.decode(errors="replace")
        found = _DISTRIBUTION.search(printed)
        return version_of(next(filter(None, found.groups()))) if found else None
    except (StreamError, BadSetting):
        return None  # of another machine type, broken or ancient: as good as not installed


def select_clients(found: Sequence[MysqlClients], server: Version) -> MysqlClients:
    """Return the client programs of the server's flavour that suit its version best.

    These are the ones of its own series, else the nearest newer ones, else the newest. Raises
    `ToolMissing`.
    """
    fitting = [clients for clients in found if clients.version.flavour is server.flavour]
    if not fitting:
        raise ToolMissing(
            f"no client programs of {server.flavour} are installed, and those of the other"
            " flavour would not do",
            _HINTS[server.flavour],
        )
    newer = [clients for clients in fitting if clients.version.series >= server.series]
    if newer:
        return min(newer, key=lambda clients: clients.version.number)
    return max(fitting, key=lambda clients: clients.version.number)
