"""The PostgreSQL client programs of this machine, and which are missing for known servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from covetbackup.core.databases.checks import Check, Level
from covetbackup.core.databases.postgresql.server.clients import PostgresClients, select_clients
from covetbackup.core.databases.programs import Program
from covetbackup.core.errors import ConfigurationError

_NAMES = "pg_dump, pg_dumpall, pg_restore"


def programs(found: Iterable[PostgresClients]) -> list[Program]:
    """Return the programs `found`, one entry for each version and folder."""
    return [Program(_NAMES, one.version, str(one.directory)) for one in found]


def missing_programs(
    found: Sequence[PostgresClients], server_versions: Iterable[str]
) -> Iterator[Check]:
    """Yield what to install for servers of `server_versions`.

    If there are no programs at all, that is said even without servers.
    """
    majors = _majors(server_versions)
    if not found:
        package = f"postgresql-client-{majors[-1]}" if majors else "postgresql-client"
        title = f"{_NAMES} are not installed here"
        yield Check(Level.WARNING, title, fix=f"apt install {package}")
        return
    for major in majors:
        try:
            select_clients(found, major=major)
        except ConfigurationError as error:
            fix = f"apt install postgresql-client-{major}"
            yield Check(Level.WARNING, error.message, fix=fix)


def _majors(versions: Iterable[str]) -> list[int]:
    firsts = {version.partition(".")[0].split()[0] for version in versions}
    return sorted(int(first) for first in firsts if first.isdigit())
