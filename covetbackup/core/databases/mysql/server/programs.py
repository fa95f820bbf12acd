"""The MySQL and MariaDB client programs of this machine, and which are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.mysql.server.clients import MysqlClients, select_clients
from covetbackup.core.databases.mysql.server.flavour import version_of
from covetbackup.core.databases.programs import Program
from covetbackup.core.errors import ConfigurationError


def programs(found: Iterable[MysqlClients]) -> list[Program]:
    """Return the programs `found`, one entry for each pair of dump and client."""
    return [
        Program(
            f"{Path(one.dump).name}, {Path(one.client).name}",
            str(one.version),
            str(Path(one.dump).parent),
        )
        for one in found
    ]


def missing_programs(found: Sequence[MysqlClients], server_versions: Iterable[str]) -> list[Check]:
    """Return one check for each flavour of `server_versions` whose client programs are missing.

    Another version of them will do. None are needed where there are no such servers.
    """
    missing = {}
    for version in server_versions:
        try:
            select_clients(found, version_of(version))
        except ConfigurationError as error:
            missing[error.message] = error.hint
    return [Check(Level.WARNING, message, fix=hint) for message, hint in missing.items()]
