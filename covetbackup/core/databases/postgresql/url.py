"""Reads `postgresql://user@host:port/database` addresses. Knows no server and no password."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from covetbackup.core.databases.postgresql.connection import ConnectionSettings
from covetbackup.core.errors import BadSetting

_SCHEMES = ("postgresql", "postgres")
_PARAMETERS = ("host", "sslmode", "sslrootcert")


def parse_url(url: str) -> ConnectionSettings:
    """The settings in `postgresql://user@host:port/database?sslmode=…&sslrootcert=…`.

    User and database are percent-decoded. A socket directory is given as `?host=/directory` with
    no host before it. Raises `BadSetting` for anything else libpq would understand: its other
    parameters can read files or lead to other hosts, and a password in an address ends up in
    process lists, logs and histories.
    """
    parts = _split(url)
    parameters = _parameters(parts.query)
    return ConnectionSettings(
        host=_host(parts, parameters.get("host", "")),
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        database=unquote(parts.path[1:]),
        sslmode=parameters.get("sslmode", "prefer"),
        sslrootcert=parameters.get("sslrootcert", ""),
    )


def _split(url: str) -> SplitResult:
    # urlsplit drops tabs and line ends anywhere in an address, which would change a name.
    if any(character in url for character in "\t\r\n"):
        raise BadSetting(
            "a PostgreSQL address holds a tab or line end", "write it as %09, %0A or %0D"
        )
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what validates it
    except ValueError as error:
        raise BadSetting("not a valid PostgreSQL address", _SHAPE) from error
    if parts.password is not None:
        raise BadSetting("a PostgreSQL address holds a password", "use --password-file")
    if parts.scheme not in _SCHEMES or parts.fragment:
        raise BadSetting("not a PostgreSQL address", _SHAPE)
    return parts


_SHAPE = "the form is postgresql://user@host:port/database, special characters written as %XX"


def _parameters(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise BadSetting("a parameter of a PostgreSQL address is given twice")
    for name in parameters:
        if name == "password":
            raise BadSetting("a PostgreSQL address holds a password", "use --password-file")
        if name not in _PARAMETERS:
            allowed = ", ".join(_PARAMETERS)
            raise BadSetting(
                f"a PostgreSQL address may not set {name!r}", f"allowed are: {allowed}"
            )
    return parameters


def _host(parts: SplitResult, directory: str) -> str:
    host = unquote(parts.hostname or "")
    if not directory:
        if host.startswith("/"):
            raise BadSetting("a socket directory is no host name", "write it as ?host=/directory")
        return host
    if host or not directory.startswith("/"):
        raise BadSetting(
            "?host= is for a socket directory alone", "write a host name before the port instead"
        )
    return directory
