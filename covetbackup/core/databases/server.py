"""A server, or a folder of database files: how it is reached and what is found there."""

from __future__ import annotations

from dataclasses import dataclass

from covetbackup.core.databases.checks import Check, is_refused


@dataclass(frozen=True, slots=True)
class ServerLocation:
    """The address of a server, without its password, or the `folder` that its files are in.

    `host` is a name, an IP address or the absolute path of a socket of this machine. `address` is
    the IP address to connect to without resolving `host` again, "" if it is not known.
    `sslrootcert` is the path of the CA certificates' file. `maintenance_database` is the one to
    connect to for queries about the server, "" for the kind's default.
    """

    host: str = ""
    port: int = 0
    user: str = ""
    sslmode: str = "prefer"
    sslrootcert: str = ""
    maintenance_database: str = ""
    address: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class FoundDatabase:
    """A database that a server has. `size_bytes` is None where the role may not ask for it."""

    name: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Discovered:
    """The `databases` of a server, by name.

    The `unusable` ones look like databases and were left out: a line each with the reason.
    """

    databases: tuple[FoundDatabase, ...]
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerProbe:
    """The result of the test of a connection to a server.

    `inspected` of the `databases` were opened. `tool_version` is that of the client programs that
    fit the server, "" if there are none. Of the `checks` those that failed keep backups from
    working, warnings do not; the `fix` of each is what to run or do.
    """

    version: str
    tool_version: str
    databases: int
    inspected: int
    checks: tuple[Check, ...]

    @property
    def is_ok(self) -> bool:
        """Whether backups work."""
        return not is_refused(self.checks)
