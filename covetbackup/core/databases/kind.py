"""The interface of a kind of database: its capabilities and its `Kind`.

Each kind's `engine.py` has one `Kind` under the name `KIND`; `registry` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from covetbackup.core.databases.base import Engine
from covetbackup.core.databases.checks import Check
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.programs import Program
from covetbackup.core.databases.restore_target import RestoreFeatures
from covetbackup.core.databases.selection import Listing
from covetbackup.core.databases.server import ServerLocation
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.secret import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """A database address taken apart: the engine behind it, where it is, what it is called."""

    engine: Engine
    where: str
    database: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a kind of database, which need no server.

    features              the options of restores
    default_port          the port of its servers; 0 for a kind whose databases are files in a
                          folder
    maintenance_database  the database to connect to for queries about the server; "" where none is
                          needed
    parallel_methods      the backup methods that store parts which several connections load at
                          once, each reading its own
    """

    features: RestoreFeatures
    default_port: int = 0
    maintenance_database: str = ""
    parallel_methods: tuple[str, ...] = ()

    @property
    def is_in_files(self) -> bool:
        """Whether databases are files in a folder, reached through no server."""
        return self.default_port == 0

    def default_jobs(self, method: str) -> int:
        """Return how many connections load a backup taken by `method` by default.

        Two if each reads its own parts; one where several would need all of it on this machine's
        disk first, or only one is possible.
        """
        return 2 if method in self.parallel_methods else 1


class Kind(Protocol):
    """The entry to a kind of database: opens its engines, reads its backups without a database."""

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the kind."""

    def open_url(self, url: str, password: Secret | None) -> Address:
        """Return the engine for the address of a database. Opens no connection.

        Raises `BadSetting` for anything that is not an address of this kind.
        """

    def open(
        self,
        location: ServerLocation,
        name: str | None,
        password: Secret | None,
        path_of: Callable[[str], Path] | None = None,
    ) -> Address:
        """Return the engine for the database `name` at `location`, which need not exist.

        A `name` of None is the server or folder as a whole. Opens no connection. For a kind whose
        databases are files `path_of` returns the path of a file in the folder, and raises
        `BadSetting` for names and files that are not allowed. Raises `BadSetting`.
        """

    def url_of(self, location: ServerLocation, name: str) -> str:
        """Return the address of the database `name` at `location`, as `open_url` takes it."""

    def server_at(self, url: str) -> ServerLocation:
        """Return the server, or the folder, that the address `url` names.

        The address need not name a database. Raises `BadSetting`.
        """

    def own_location(self, name: str, ask: Callable[[str], object]) -> str:
        """Return the location (`databases.location`) of a database that another driver uses.

        It is called `name`; the location is "" if it cannot be told. `ask` returns the first value
        of a query's answer, None if the role may not run it.
        """

    def cleanup(self, url: str, before: datetime, password: Secret | None) -> list[str]:
        """Remove what killed restores begun before `before` (aware) left, and return the names.

        They are on the server of `url`, or in the folder that it names or whose file it names.
        Raises `BadSetting`, `DatabaseError`, `AccessRefused`.
        """

    def scratch_target(self, server: str) -> AbstractContextManager[str]:
        """Provide the address of a database that does not exist.

        It is on the server with the address `server` where one is needed. Raises `BadSetting`
        without it.
        """

    def programs(self, server_versions: Iterable[str]) -> tuple[list[Program], list[Check]]:
        """Return the kind's client programs, or its library, on this machine, and what is missing.

        That is what every installation needs, and what servers of `server_versions`, as probes
        returned them, need.
        """

    def check_member(self, member: str) -> Filter | None:
        """Return the full check of `member`, as `Engine.check` does, without a database."""

    def listing(
        self, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
    ) -> Listing:
        """Return the contents of a backup, given its `members` (name and plain size in bytes).

        `read` returns the whole content of one, `expected` is the backup's inventory. Raises
        `BadSetting` for a kind whose backups can only be restored whole.
        """

    def export(self, open_stream: Callable[[str], Source], folder: Path) -> None:
        """Write a backup into the empty `folder` as files that stock programs of the kind read.

        Raises `BadSetting` for a kind that has none.
        """


def no_listing(kind: str) -> BadSetting:
    """Return the error of `Kind.listing` for a `kind` whose backups can only be restored whole."""
    return BadSetting(
        f"backups of kind {kind!r} are restored whole: no part of them can be selected"
    )


def no_export(kind: str) -> BadSetting:
    """Return the error of `Kind.export` for a `kind` that has no form of several files."""
    return BadSetting(f"a backup of kind {kind!r} has no form of several files", "use cat")
