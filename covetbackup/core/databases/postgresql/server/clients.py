"""Selection of the client programs for a server: pg_dump, pg_dumpall, pg_restore of one version.

A client must be at least as new as the server it dumps. The server's own version is best: its
dumps are read by the pg_restore that is installed beside that server.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from covetbackup.core.databases.postgresql.server.older_server import sends_unknown_setting
from covetbackup.core.errors import StreamError, ToolMissing, ToolTooOld
from covetbackup.core.stream.process import run

_PROGRAMS = ("pg_dump", "pg_dumpall", "pg_restore")
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")


@dataclass(frozen=True, slots=True)
class PostgresClients:
    """The client programs in one directory; all have the same version."""

    directory: Path
    major: int
    version: str

    def path(self, program: str) -> str:
        """Return the absolute path of `program`, which need not exist."""
        return str(self.directory / program)

    @property
    def has_psql(self) -> bool:
        """Whether psql is there as well, which some bundles lack."""
        return os.access(self.directory / "psql", os.X_OK)


def find_clients(directories: Sequence[Path] = ()) -> list[PostgresClients]:
    """Return all complete sets of client programs in `directories`.

    Without directories those in PATH, in Debian's versioned directories and in the Python package
    pgserver are returned, in this order.
    """
    found: dict[Path, PostgresClients] = {}
    for directory in directories or list(_default_directories()):
        resolved = directory.resolve()
        if resolved not in found and _is_complete(resolved):
            clients = _inspect(resolved)
            if clients is not None:
                found[resolved] = clients
    return list(found.values())


def _default_directories() -> Iterator[Path]:
    for entry in os.get_exec_path():
        if entry.startswith("/"):
            yield Path(entry)
    yield from _DEBIAN.glob("*/bin")
    bundle = importlib.util.find_spec("pgserver")
    if bundle is not None and bundle.origin is not None:
        yield Path(bundle.origin).parent / "pginstall" / "bin"


def _is_complete(directory: Path) -> bool:
    programs = [directory / program for program in _PROGRAMS]
    # Debian's /usr/bin/pg_dump is a script that selects a version by files of its own.
    return all(os.access(path, os.X_OK) and path.resolve().parent == directory for path in programs)


def _inspect(directory: Path) -> PostgresClients | None:
    try:
        printed = run([str(directory / "pg_dump"), "--version"]).output
    except StreamError:
        return None  # of another machine type, or broken: as good as not installed
    match = _VERSION.search(printed.decode(errors="replace"))
    return PostgresClients(directory, int(match[2]), match[1]) if match else None


def select_clients(found: Sequence[PostgresClients], *, major: int) -> PostgresClients:
    """Return the clients of exactly the server's `major` version, else the nearest newer ones.

    Raises `ToolMissing` when there are none at all, `ToolTooOld` when all are older.
    """
    hint = f"install postgresql-client-{major} (the package of Debian and Ubuntu)"
    if not found:
        raise ToolMissing(f"no PostgreSQL client programs for version {major} are installed", hint)
    fitting = [clients for clients in found if clients.major >= major]
    if not fitting:
        newest = max(clients.major for clients in found)
        raise ToolTooOld(
            f"the newest pg_dump and pg_restore are version {newest}, too old for version {major}",
            hint,
        )
    return min(fitting, key=lambda clients: clients.major)


def newer_than_server(clients: PostgresClients, major: int) -> list[str]:
    """Return the warning for a dump that programs of the server's own `major` cannot read."""
    if clients.major == major:
        return []
    by_hand = ""
    if sends_unknown_setting(clients.major, major):
        by_hand = f"; by hand into PostgreSQL {major} as the recovery guide says for older servers"
    return [
        f"dumped by programs of PostgreSQL {clients.major}, as none of {major} were found: only"
        f" pg_restore {clients.major} or newer may read it{by_hand}; install"
        f" postgresql-client-{major} for the next"
    ]
