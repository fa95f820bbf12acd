"""Reading and writing of `postgresql://user@host:port/database` URLs, which hold no password."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote

from covetbackup.core.databases.postgresql.server.connection import PostgresSettings
from covetbackup.core.databases.url_format import UrlFormat
from covetbackup.core.errors import BadSetting

_GRAMMAR = UrlFormat("PostgreSQL", ("postgresql", "postgres"), ("host", "sslmode", "sslrootcert"))


def parse_url(url: str) -> PostgresSettings:
    """Return the settings in `postgresql://user@host:port/database?sslmode=…&sslrootcert=…`.

    User and database are percent-decoded. A socket directory is given as `?host=/directory` with
    no host before it. Raises `BadSetting` for anything else libpq would understand: its other
    parameters can read files or lead to other hosts.
    """
    parts, parameters = _GRAMMAR.read(url)
    return PostgresSettings(
        host=_host(parts, parameters.get("host", "")),
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        database=unquote(parts.path[1:]),
        sslmode=parameters.get("sslmode", "prefer"),
        sslrootcert=parameters.get("sslrootcert", ""),
    )


def to_url(settings: PostgresSettings) -> str:
    """Return the URL that `parse_url` reads as these settings."""
    is_socket = settings.host.startswith("/")
    return _GRAMMAR.write(
        user=settings.user,
        host="" if is_socket else settings.host,
        port=settings.port,
        database=settings.database,
        parameters={
            "host": settings.host if is_socket else "",
            "sslmode": settings.sslmode,
            "sslrootcert": settings.sslrootcert,
        },
    )


def with_database(url: str, database: str) -> str:
    """Return the address `url` with `database` where it names none."""
    server, mark, parameters = url.partition("?")
    rest = server.partition("://")[2]
    if "/" not in rest:
        server += "/"
    return server + (database if server.endswith("/") else "") + mark + parameters


def _host(parts: SplitResult, directory: str) -> str:
    host = unquote(parts.hostname or "")
    if not directory:
        if host.startswith("/"):
            raise BadSetting("a socket directory is no host name", "write it as ?host=/directory")
        return host
    if host or not directory.startswith("/"):
        raise BadSetting(
            "?host= is only for a socket directory", "write a host name before the port instead"
        )
    return directory
