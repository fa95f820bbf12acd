"""Reads `mysql://user@host:port/database` addresses. Knows no server and no password."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from covetbackup.core.databases.mysql.settings import ConnectionSettings
from covetbackup.core.errors import BadSetting

SCHEMES = ("mysql", "mariadb")
_PARAMETERS = ("socket", "sslmode", "sslrootcert")
_SHAPE = "the form is mysql://user@host:port/database, special characters written as %XX"


def parse_url(url: str) -> ConnectionSettings:
    """The settings in `mysql://user@host:port/database?sslmode=…&sslrootcert=…`.

    `mariadb://` means the same: the server says what it is. User and database are
    percent-decoded. A socket file is given as `?socket=/file` with no host before it. Raises
    `BadSetting` for anything else, and for a password: in an address it would end up in process
    lists, logs and histories.
    """
    settings = parse_server(url)
    if not settings.database:
        raise BadSetting("the MySQL address names no database", _SHAPE)
    return settings


def parse_server(url: str) -> ConnectionSettings:
    """As `parse_url`, of an address that need not name a database."""
    parts = _split(url)
    parameters = _parameters(parts.query)
    host, socket = unquote(parts.hostname or ""), parameters.get("socket", "")
    if host and socket:
        raise BadSetting("a MySQL address names a host and a socket", "name one of them")
    return ConnectionSettings(
        host=host,
        port=3306 if parts.port is None else parts.port,
        user=unquote(parts.username or ""),
        database=unquote(parts.path[1:]),
        socket=socket,
        sslmode=parameters.get("sslmode", "prefer"),
        sslrootcert=parameters.get("sslrootcert", ""),
    )


def _split(url: str) -> SplitResult:
    # urlsplit drops tabs and line ends anywhere in an address, which would change a name.
    if any(character in url for character in "\t\r\n"):
        raise BadSetting("a MySQL address holds a tab or line end", "write it as %09, %0A or %0D")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what validates it
    except ValueError as error:
        raise BadSetting("not a valid MySQL address", _SHAPE) from error
    if parts.password is not None:
        raise BadSetting("a MySQL address holds a password", "use --password-file")
    if parts.scheme not in SCHEMES or parts.fragment:
        raise BadSetting("not a MySQL address", _SHAPE)
    return parts


def _parameters(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise BadSetting("a parameter of a MySQL address is given twice")
    for name in parameters:
        if name == "password":
            raise BadSetting("a MySQL address holds a password", "use --password-file")
        if name not in _PARAMETERS:
            allowed = ", ".join(_PARAMETERS)
            raise BadSetting(f"a MySQL address may not set {name!r}", f"allowed are: {allowed}")
    return parameters


def own_target(settings: ConnectionSettings, target: str) -> ConnectionSettings:
    """The database of the address `target`, on the server of `settings`. Raises `BadSetting` for
    another server or account: the password at hand belongs to that one and to no other."""
    found = parse_url(target)
    if not found.same_server(settings):
        raise BadSetting(
            f"the target is {found}, but the engine was made for another server or account",
            "make an engine with the target's settings",
        )
    return settings.on(found.database)
