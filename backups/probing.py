"""The test of a connection: whether a server can be backed up, and which privileges are missing."""

from __future__ import annotations

from functools import partial

from django.utils import timezone

from backups import discovery, engine_factory
from backups.catalog_location import location_of_catalog
from backups.models import Server
from backups.timeout import run_with_timeout
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.server import ServerProbe
from covetbackup.core.errors import CovetError, DatabaseUnavailable
from covetbackup.core.stream.secret import Secret

_LIMIT_SECONDS = 5.0


def probe_server(server: Server) -> ServerProbe:
    """Test the connection of a saved `server`, which remembers the result. Errors: `try_server`."""
    try:
        found = try_server(server)
    except CovetError as error:
        discovery.note_failure(server, error)
        raise
    remember(server, found)
    return found


def try_server(server: Server, *, password: Secret | None = None) -> ServerProbe:
    """Test the connection of `server` as it is in memory, saved or not; no row is touched.

    `password` is used instead of the stored one. Raises `DatabaseUnavailable` (also after 5 s
    without an answer), `BadSetting`, `SecretsLocked`.
    """
    late = DatabaseUnavailable(
        f"{server.name} did not answer within {_LIMIT_SECONDS:.0f} s",
        "is the host reachable from here, or does a firewall drop packets?",
    )
    # What needs the catalog is done here and now, what needs the server in the background.
    engine = engine_factory.server_engine(server, password)
    wanted = partial(discovery.is_wanted, include=server.include, exclude=server.exclude)
    probe = partial(engine.probe_server, wanted, location_of_catalog())
    return run_with_timeout(_LIMIT_SECONDS, probe, late=late)


def remember(server: Server, found: ServerProbe) -> None:
    """Write to the saved `server` what its test found."""
    blocking = [check.title for check in found.checks if check.level is Level.FAIL]
    server.version, server.checked_at = found.version[:64], timezone.now()
    server.problem, server.is_unreachable = "; ".join(blocking), False
    server.save(update_fields=["version", "checked_at", "problem", "is_unreachable"])
