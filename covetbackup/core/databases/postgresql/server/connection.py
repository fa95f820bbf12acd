"""How to reach a server: settings, a driver connection, the environment of a client program.

libpq expands a database name that looks like a connection string. So names travel only as quoted
values here: psycopg quotes keyword parameters, and `conninfo` builds the one safe form for tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from covetbackup.core.databases.postgresql.server.connect_errors import refusal
from covetbackup.core.databases.postgresql.server.pooler import refuse_transaction_pooler
from covetbackup.core.errors import BadSetting, CovetError, DatabaseError, DatabaseUnavailable
from covetbackup.core.stream.diagnostics import without_rows
from covetbackup.core.stream.secret import Secret, SecretFile

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST_MAJOR = 13  # the oldest server whose catalogs the queries here were run against
_CONNECT_SECONDS = 10
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A dead peer is noticed after 30 + 3 x 10 s instead of the kernel's two hours, and after 60 s while
# something sent is on its way to it: then the kernel counts no keepalives. But see `pulse`.
_KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_TIMEOUTS = {
    "statement_timeout": 13,
    "lock_timeout": 13,
    "idle_in_transaction_session_timeout": 13,
    "idle_session_timeout": 14,
    "transaction_timeout": 17,
}
# The server's side of the same: else it keeps the session, its locks and its snapshot for two
# hours, and what a restore left there looks alive for as long. Without effect on a socket file. No
# limit for what it sends: it would end a backup whose storage lets it rest for longer.
_KEEPALIVES_THERE = {
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One database on one server, without its password. `host` is a name, an address or the
    absolute path of a socket directory; `address`, if known, is the IP address to connect to
    without resolving `host` again. Raises `BadSetting` for values that cannot be meant."""

    host: str
    user: str
    database: str
    port: int = 5432
    sslmode: str = "prefer"
    sslrootcert: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        for name in ("host", "user", "database"):
            value = getattr(self, name)
            if not value or "\0" in value:
                raise BadSetting(f"the PostgreSQL address names no {name}")
        if not self.host.startswith("/") and set(self.host) & set(", \t\r\n/@=\\'"):
            raise BadSetting(f"{self.host!r} is not a host name")
        if not 0 < self.port < 65536:
            raise BadSetting(f"{self.port} is not a port")
        if self.sslmode not in _SSL_MODES:
            raise BadSetting(f"sslmode {self.sslmode!r} does not exist", ", ".join(_SSL_MODES))

    def __str__(self) -> str:
        return f"{self.database!r} on {self.host}:{self.port}"

    def on(self, database: str) -> ConnectionSettings:
        """The same server and user, another database."""
        return replace(self, database=database)

    def same_server(self, other: ConnectionSettings) -> bool:
        """Whether `other` is there too, as the same user. Addresses have their hosts in small
        letters, whatever was typed."""
        mine = (_comparable(self.host), self.port, self.user)
        return mine == (_comparable(other.host), other.port, other.user)


def _comparable(host: str) -> str:
    return host if host.startswith("/") else host.lower()


def connect(
    settings: ConnectionSettings, password: Secret | None, *, application: str
) -> Connection:
    """An autocommit connection with no time limits. Raises `DatabaseUnavailable`, `LoginRefused`
    when the server answered, `ServerBusy`, and `BadSetting` for a server older than any this
    engine was tried on and for a pooler that shares its sessions."""
    connection = _opened(settings, password, application)
    try:
        refuse_transaction_pooler(
            connection, lambda: _opened(settings, password, application), where=str(settings)
        )
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(settings: ConnectionSettings, password: Secret | None, application: str) -> Connection:
    try:
        return psycopg.connect(
            "",
            host=settings.host,
            hostaddr=settings.address or None,
            port=settings.port,
            user=settings.user,
            dbname=settings.database,
            password=password.reveal() if password is not None else None,
            sslmode=settings.sslmode,
            sslrootcert=settings.sslrootcert or None,
            application_name=application,
            client_encoding="UTF8",
            connect_timeout=_CONNECT_SECONDS,
            autocommit=True,
            prepare_threshold=None,  # a pooler in between may lose prepared statements
            **_KEEPALIVES,
        )
    except psycopg.Error as error:
        raise _unavailable(settings, error) from error


def major_of(connection: Connection) -> int:
    return connection.info.server_version // 10000


def _prepare(connection: Connection) -> None:
    major = major_of(connection)
    if major < OLDEST_MAJOR:
        raise BadSetting(f"PostgreSQL {major} is older than {OLDEST_MAJOR}, the oldest supported")
    for name, value in _session_settings(major).items():
        connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), value))
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        _choose_encoding(connection)


def _choose_encoding(connection: Connection) -> None:
    """A database without an encoding holds names of any bytes. Taken for LATIN1 each is a text that
    turns into the same bytes again; taken for UTF-8, where they are that, they are also right."""
    try:
        connection.execute(_NAMES_AS_UTF8)
    except psycopg.errors.CharacterNotInRepertoire:
        connection.execute("SET client_encoding = 'LATIN1'")


_NAMES_AS_UTF8 = """
SELECT count(convert_from(textsend(name), 'UTF8')) FROM (
  SELECT relname::text FROM pg_class
  UNION ALL SELECT nspname::text FROM pg_namespace
  UNION ALL SELECT rolname::text FROM pg_roles
  UNION ALL SELECT shobj_description(oid, 'pg_database') FROM pg_database
    WHERE datname = current_database()
) AS named(name)
"""


def _session_settings(major: int) -> dict[str, int]:
    limits = {name: 0 for name, since in _TIMEOUTS.items() if major >= since}
    return {**limits, **_KEEPALIVES_THERE}


@contextmanager
def translated(settings: ConnectionSettings) -> Iterator[None]:
    """Turns the driver's errors into ours: `DatabaseUnavailable` for a lost connection, else
    `DatabaseError`."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise lost(f"lost the connection to {settings}", error) from error
    except psycopg.Error as error:
        raise DatabaseError(f"{settings} answered: {line_of(error)}") from error
    except UnicodeDecodeError as error:
        # A name that all databases share, given from one of another encoding: nothing converts it.
        raise DatabaseError(
            f"{settings} has a name that is not in its own encoding: {error.object!r}",
            "is there such a role, tablespace or comment? name it anew from this database",
        ) from error


def is_silence(error: psycopg.Error) -> bool:
    """Whether it has no code of the server: the connection is gone, and nothing else failed."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def lost(what: str, error: psycopg.Error) -> DatabaseUnavailable:
    """`what` went wrong with a connection."""
    hint = "was the session ended, the server stopped, or the network between cut?"
    return DatabaseUnavailable(f"{what}: {line_of(error)}", hint if is_silence(error) else "")


def line_of(error: psycopg.Error) -> str:
    """The server's or the driver's own words without row contents, on one line."""
    return " ".join(part.strip() for part in without_rows(str(error)).split("\n")[:2])


def conninfo(database: str) -> str:
    """The argument of `--dbname=` that means exactly `database`, whatever it looks like."""
    return make_conninfo("", dbname=database, **_KEEPALIVES)


def conninfo_to_send(database: str) -> str:
    """The same for a program that sends much, to a server that may rest: see `pulse`."""
    return make_conninfo("", dbname=database, **{**_KEEPALIVES, "tcp_user_timeout": 0})


def unsent_limit() -> int:
    """How many milliseconds what is sent may wait to be taken."""
    return int(_KEEPALIVES["tcp_user_timeout"])


def tool_environment(
    settings: ConnectionSettings, password: Secret | None, *, application: str, major: int
) -> dict[str, str | SecretFile]:
    """What a client program is told of the server. The password is in a file of its own."""
    options = [f"-c {name}={value}" for name, value in _session_settings(major).items()]
    environment: dict[str, str | SecretFile] = {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": settings.user,
        "PGSSLMODE": settings.sslmode,
        "PGCONNECT_TIMEOUT": str(_CONNECT_SECONDS),
        "PGAPPNAME": application,
        "PGOPTIONS": " ".join(options),
    }
    if settings.address:
        environment["PGHOSTADDR"] = settings.address
    if settings.sslrootcert:
        environment["PGSSLROOTCERT"] = settings.sslrootcert
    if password is not None:
        environment["PGPASSFILE"] = SecretFile("pgpass", Secret(_password_line(password)))
    return environment


def _password_line(password: Secret) -> str:
    """The one line of a password file. Wildcards: the file is made for one connection, and names
    with line ends could not be written in it."""
    value = password.reveal()
    if "\n" in value or "\0" in value:
        raise BadSetting("the PostgreSQL password holds a line end or NUL")
    escaped = value.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def _unavailable(settings: ConnectionSettings, error: psycopg.Error) -> CovetError:
    return refusal(
        str(error),
        host=settings.host,
        port=settings.port,
        user=settings.user,
        database=settings.database,
    )
