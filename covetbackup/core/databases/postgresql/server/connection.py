"""Connections to a server: settings, driver connections, the environment of client programs.

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

from covetbackup.core.databases.postgresql.server.connect_errors import explain
from covetbackup.core.databases.postgresql.server.pooler import refuse_transaction_pooler
from covetbackup.core.errors import BadSetting, CovetError, DatabaseError, DatabaseUnavailable
from covetbackup.core.stream.diagnostics import without_rows
from covetbackup.core.stream.secret import Secret, SecretFile

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST_MAJOR = 13  # the oldest server whose catalogs the queries here were run against
CONNECT_SECONDS = 10
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A dead peer is noticed after 30 + 3 x 10 s instead of the kernel's two hours, and after 60 s while
# something sent is on its way to it: then the kernel counts no keepalives. But see `liveness`.
KEEPALIVES: dict[str, Any] = {
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
# limit for what it sends: it would end a backup whose storage pauses for longer.
SERVER_KEEPALIVES = {
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
}


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """The address of one database on one server, and the role to log in as, without password.

    `host` is a name, an address or the absolute path of a socket directory; `address`, if known,
    is the IP address to connect to without resolving `host` again. Raises `BadSetting` for values
    that are not valid.
    """

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
            raise BadSetting(f"{self.port} is not a port number")
        if self.sslmode not in _SSL_MODES:
            raise BadSetting(f"sslmode {self.sslmode!r} does not exist", ", ".join(_SSL_MODES))

    def __str__(self) -> str:
        return f"{self.database!r} on {self.host}:{self.port}"

    def on(self, database: str) -> PostgresSettings:
        """Return the settings of another `database` of the same server, for the same user."""
        return replace(self, database=database)


def connect(settings: PostgresSettings, password: Secret | None, *, application: str) -> Connection:
    """Open an autocommit connection without timeouts.

    Raises `DatabaseUnavailable`, `LoginRefused` when the server answered, `ServerBusy`, and
    `BadSetting` for a server older than `OLDEST_MAJOR` and for a pooler in transaction mode.
    """
    connection = _open(settings, password, application)
    try:
        refuse_transaction_pooler(
            connection, lambda: _open(settings, password, application), where=str(settings)
        )
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(settings: PostgresSettings, password: Secret | None, application: str) -> Connection:
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
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
            prepare_threshold=None,  # a pooler in between may lose prepared statements
            **KEEPALIVES,
        )
    except psycopg.Error as error:
        raise _unavailable(settings, error) from error


def major_of(connection: Connection) -> int:
    """Return the major version of the server, 13 or newer."""
    return connection.info.server_version // 10000


def _prepare(connection: Connection) -> None:
    major = major_of(connection)
    if major < OLDEST_MAJOR:
        raise BadSetting(f"PostgreSQL {major} is older than {OLDEST_MAJOR}, the oldest supported")
    for name, value in _session_settings(major).items():
        connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), value))
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        _set_client_encoding(connection)


def _set_client_encoding(connection: Connection) -> None:
    """Set a client encoding in which all names can be read.

    A database without an encoding holds names of any bytes. Read as LATIN1 each is a text that
    turns into the same bytes again; read as UTF-8, where they are that, they are also legible.
    """
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
    return {**limits, **SERVER_KEEPALIVES}


@contextmanager
def translated(settings: PostgresSettings) -> Iterator[None]:
    """Translate errors of the driver within the context.

    They become `DatabaseUnavailable` for a lost connection, else `DatabaseError`.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise connection_lost(f"lost the connection to {settings}", error) from error
    except psycopg.Error as error:
        raise DatabaseError(f"{settings} answered: {line_of(error)}") from error
    except UnicodeDecodeError as error:
        # A name that all databases share, given in one of another encoding: nothing converts it.
        raise DatabaseError(
            f"{settings} has a name that is not in its own encoding: {error.object!r}",
            "is it that of a role, a tablespace or a comment? rename it from this database",
        ) from error


def is_connection_loss(error: psycopg.Error) -> bool:
    """Return whether the connection is gone and nothing else failed: the server gave no code."""
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def connection_lost(what: str, error: psycopg.Error) -> DatabaseUnavailable:
    """Return the error for `what` failed as its connection was lost."""
    hint = "was the session ended, the server stopped, or the network between cut?"
    return DatabaseUnavailable(
        f"{what}: {line_of(error)}", hint if is_connection_loss(error) else ""
    )


def line_of(error: psycopg.Error) -> str:
    """Return the message of the server or the driver on one line, without row contents."""
    return " ".join(part.strip() for part in without_rows(str(error)).split("\n")[:2])


def conninfo(database: str) -> str:
    """Return the value of `--dbname=` that means exactly `database`, whatever it looks like."""
    return make_conninfo("", dbname=database, **KEEPALIVES)


def conninfo_without_send_timeout(database: str) -> str:
    """Return the same as `conninfo` for a program that sends much to a server that may pause.

    See `liveness`.
    """
    return make_conninfo("", dbname=database, **{**KEEPALIVES, "tcp_user_timeout": 0})


def send_timeout_ms() -> int:
    """Return how many milliseconds sent data may stay unacknowledged before the kernel gives up."""
    return int(KEEPALIVES["tcp_user_timeout"])


def tool_environment(
    settings: PostgresSettings, password: Secret | None, *, application: str, major: int
) -> dict[str, str | SecretFile]:
    """Return the environment by which a client program reaches a server of version `major`.

    The password is in a file of its own.
    """
    options = [f"-c {name}={value}" for name, value in _session_settings(major).items()]
    environment: dict[str, str | SecretFile] = {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": settings.user,
        "PGSSLMODE": settings.sslmode,
        "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS),
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
    # Wildcards: the file is made for one connection, and names with line ends could not be
    # written in it.
    value = password.reveal()
    if "\n" in value or "\0" in value:
        raise BadSetting("the PostgreSQL password holds a line end or NUL")
    escaped = value.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def _unavailable(settings: PostgresSettings, error: psycopg.Error) -> CovetError:
    return explain(
        str(error),
        host=settings.host,
        port=settings.port,
        user=settings.user,
        database=settings.database,
    )
