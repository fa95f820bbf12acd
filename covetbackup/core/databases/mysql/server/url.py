"""URLs of the form `mysql://user@host:port/database`, without a password."""

from __future__ import annotations

from urllib.parse import unquote

from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.url_format import UrlFormat
from covetbackup.core.errors import BadSetting

_GRAMMAR = UrlFormat("MySQL", ("mysql", "mariadb"), ("socket", "sslmode", "sslrootcert"))


def parse_url(url: str) -> MysqlSettings:
    """Parse `mysql://user@host:port/database?sslmode=…&sslrootcert=…`.

    `mariadb://` means the same: the server says what it is. User and database are
    percent-decoded. A socket file is given as `?socket=/file` with no host before it. Raises
    `BadSetting` for anything else.
    """
    settings = parse_server(url)
    if not settings.database:
        raise BadSetting("the MySQL address names no database", _GRAMMAR.shape)
    return settings


def parse_server(url: str) -> MysqlSettings:
    """Parse a URL as `parse_url` does, though it may name no database."""
    parts, parameters = _GRAMMAR.read(url)
    host, socket = unquote(parts.hostname or ""), parameters.get("socket", "")
    if host and socket:
        raise BadSetting("a MySQL address names a host and a socket", "name one of them")
    return MysqlSettings(
        host=host,
        port=3306 if parts.port is None else parts.port,
        user=unquote(parts.username or ""),
        database=unquote(parts.path[1:]),
        socket=socket,
        sslmode=parameters.get("sslmode", "prefer"),
        sslrootcert=parameters.get("sslrootcert", ""),
    )


def to_url(settings: MysqlSettings) -> str:
    """Return the URL of `settings`: the inverse of `parse_server`."""
    return _GRAMMAR.write(
        user=settings.user,
        host=settings.host,
        port=settings.port,
        database=settings.database,
        parameters={
            "socket": settings.socket,
            "sslmode": settings.sslmode,
            "sslrootcert": settings.sslrootcert,
        },
    )
