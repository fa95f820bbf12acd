"""Connections to a server through the driver, and the translation of its errors into ours."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
from pymysql.constants import CR, ER, FIELD_TYPE
from pymysql.cursors import SSCursor

from covetbackup.core.databases.mysql.server.flavour import Version, version_of
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import (
    CovetError,
    DatabaseError,
    DatabaseUnavailable,
    LoginRefused,
    ServerBusy,
)
from covetbackup.core.stream.diagnostics import without_rows
from covetbackup.core.stream.secret import Secret

Row = tuple[Any, ...]

CONNECT_SECONDS = 10
# A dead peer is noticed after 30 + 3 x 10 s instead of the kernel's two hours, and after 60 s while
# something sent is on its way to it: then the kernel counts no keepalives.
KEEPALIVE_OPTIONS = (
    (socket.TCP_KEEPIDLE, 30),
    (socket.TCP_KEEPINTVL, 10),
    (socket.TCP_KEEPCNT, 3),
    (socket.TCP_USER_TIMEOUT, 60_000),
)
_PACKET_BYTES = 1 << 30
_BINARY = 63  # the character set of results that are bytes, and of JSON in MySQL


class Connection:
    """An autocommit session in UTC and UTF-8 without timeouts, for one thread.

    No database is selected, so none needs to exist, until `use`.
    """

    def __init__(self, driver: pymysql.Connection[Any], settings: MysqlSettings) -> None:
        self._driver = driver
        self.settings = settings
        self.version: Version = version_of(driver.get_server_info())  # type: ignore[no-untyped-call]
        self.is_encrypted = bool(getattr(driver, "_secure", False))
        self.id: int = driver.thread_id()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run a statement without a result."""
        self.rows(statement, values)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return all rows of a result. Without `values` a percent sign in `statement` is itself."""
        with self._driver.cursor() as cursor:
            cursor.execute(statement, tuple(values) or None)
            return list(cursor.fetchall())

    def use(self, database: str) -> None:
        """Make `database` the default database of the session."""
        self.execute(f"USE {quoted(database)}")

    def execute_bytes(self, statement: bytes) -> int:
        """Run a statement given as bytes, unchanged; return the number of rows it wrote."""
        with self._driver.cursor() as cursor:
            return int(cursor.execute(statement))

    def stream(self, statement: str) -> tuple[list[bool], Iterator[Sequence[bytes | None]]]:
        """Run a query with a long result, and return which columns are binary, and the rows.

        Each value is as the server sent it. From now on all values of this connection are bytes,
        and it takes no other statement until the last row was read.
        """
        self._driver.decoders, self._driver.use_unicode = {}, False
        cursor = self._driver.cursor(SSCursor)
        cursor.execute(statement)
        fields = cursor._result.fields  # type: ignore[attr-defined]
        are_bytes = [
            field.charsetnr == _BINARY and field.type_code != FIELD_TYPE.JSON for field in fields
        ]
        return are_bytes, iter(cursor)

    def value(self, statement: str, values: Sequence[object] = ()) -> Any:
        """Return the first column of the first row, None if there is no row."""
        found = self.rows(statement, values)
        return found[0][0] if found else None

    def strings(self, statement: str, values: Sequence[object] = ()) -> list[str]:
        """Return the first column of every row."""
        return [str(row[0]) for row in self.rows(statement, values)]

    def literal(self, value: str) -> str:
        """Return `value` as a string literal for a statement."""
        return str(self._driver.escape(value))

    def interrupt(self) -> None:
        """Make a statement fail that another thread waits for. The connection is unusable then."""
        with suppress(OSError, AttributeError):  # closed already
            self._driver._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]

    def close(self) -> None:
        """End the session on the server, whatever state it is in. Idempotent."""
        if self._driver.open:
            try:
                self._driver.close()
            except pymysql.err.Error:
                pass  # the server is gone, and the session with it


def connect(settings: MysqlSettings, password: Secret | None) -> Connection:
    """Open a connection without a default database.

    Raises `DatabaseUnavailable`, `LoginRefused` when the server answered, `ServerBusy`.
    """
    try:
        driver = _driver(settings, password)
        driver.connect(_socket(settings))
        # The driver looks them up each time. Statements may take as long as they like.
        driver._read_timeout = driver._write_timeout = None  # type: ignore[attr-defined]
    except (pymysql.err.Error, OSError) as error:
        raise _unavailable(settings, error) from error
    try:
        connection = Connection(driver, settings)
        with translated(settings):
            for statement in connection.version.session_statements:
                connection.execute(statement)
    except BaseException:
        driver.close()
        raise
    return connection


@contextmanager
def server_connection(settings: MysqlSettings, password: Secret | None) -> Iterator[Connection]:
    """Yield a connection of `connect`, with the driver's errors of the whole block `translated`."""
    with translated(settings), connect(settings, password) as connection:
        yield connection


def quoted(name: str) -> str:
    """Return `name` as a quoted identifier for a statement."""
    return "`" + name.replace("`", "``") + "`"


def _driver(settings: MysqlSettings, password: Secret | None) -> pymysql.Connection[Any]:
    driver = pymysql.connect(
        host=settings.host or "localhost",
        port=settings.port,
        user=settings.user,
        # As bytes: a text would have to be Latin-1.
        password=b"" if password is None else password.reveal().encode(),
        charset="utf8mb4",
        autocommit=True,
        local_infile=False,  # else a hostile server could ask for any file of this machine
        max_allowed_packet=_PACKET_BYTES,
        # Until the login is over: what listens there may never answer.
        read_timeout=CONNECT_SECONDS,
        write_timeout=CONNECT_SECONDS,
        defer_connect=True,
        ssl_disabled=settings.sslmode == "disable" or bool(settings.socket),
        ssl=_tls(settings),
    )
    if settings.sslmode == "prefer":
        driver._ssl_required = False  # type: ignore[attr-defined]
    return driver


def _tls(settings: MysqlSettings) -> dict[str, Any] | ssl.SSLContext | None:
    """Return what the driver takes for a demand of TLS; None where TLS is disabled."""
    if settings.sslmode == "disable":
        return None
    if settings.sslmode.startswith("verify"):
        return {
            "ca": settings.sslrootcert or None,
            "verify_mode": True,
            "check_hostname": settings.sslmode == "verify-full",
        }
    # The driver's own context would read all authorities of this machine, to verify nothing: 30 ms
    # of CPU for each connection.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _socket(settings: MysqlSettings) -> socket.socket:
    """Connect a socket of ours: the driver's own has no keepalive and resolves the host again."""
    if settings.socket:
        return _socket_file(settings.socket)
    target = (settings.address or settings.host, settings.port)
    created = socket.create_connection(target, CONNECT_SECONDS)
    created.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE_OPTIONS:
        created.setsockopt(socket.IPPROTO_TCP, option, value)
    return created


def _socket_file(path: str) -> socket.socket:
    created = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        created.settimeout(CONNECT_SECONDS)  # a server that accepts none has a full queue
        created.connect(path)
    except BaseException:
        created.close()
        raise
    return created


@contextmanager
def translated(settings: MysqlSettings) -> Iterator[None]:
    """Translate errors of the driver within the context.

    They become `DatabaseUnavailable` for a lost connection, else `DatabaseError`.
    """
    try:
        yield
    except pymysql.err.Error as error:
        if is_lost(error):
            raise DatabaseUnavailable(
                f"lost the connection to {settings}: {text_of(error)}"
            ) from error
        raise DatabaseError(f"{settings} answered: {text_of(error)}") from error


def is_lost(error: pymysql.err.Error) -> bool:
    """Return whether the error means that the session is gone."""
    return code_of(error) in _LOST or isinstance(error, pymysql.err.InterfaceError)


_LOST = (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, ER.SERVER_SHUTDOWN)


def code_of(error: BaseException) -> int:
    """Return the server's or driver's error number, 0 if there is none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def text_of(error: BaseException) -> str:
    """Return the server's message without row contents, on one line."""
    return " ".join(without_rows(str(error.args[-1] if error.args else error)).split())


def _unavailable(settings: MysqlSettings, error: Exception) -> CovetError:
    text = text_of(error)
    hint = next((hint for sign, hint in _HINTS if sign in text.lower()), "")
    kind = _KINDS.get(code_of(error), DatabaseUnavailable)
    return kind(f"cannot connect to {settings}: {text}", hint)


_KINDS: dict[int, type[CovetError]] = {
    ER.ACCESS_DENIED_ERROR: LoginRefused,
    1698: LoginRefused,  # access denied, where no password is asked for; the driver has no name
    3118: LoginRefused,  # the account is locked
    4151: LoginRefused,  # the same in MariaDB
    ER.HOST_NOT_PRIVILEGED: LoginRefused,
    ER.HOST_IS_BLOCKED: LoginRefused,
    ER.CON_COUNT_ERROR: ServerBusy,
    ER.TOO_MANY_USER_CONNECTIONS: ServerBusy,
    ER.USER_LIMIT_REACHED: ServerBusy,
}

_HINTS = (
    ("access denied", "is the password right, and may this account log in from this host?"),
    ("too many connections", "raise max_connections?"),
    ("is not allowed to connect", "create the account for this host, or for '%'"),
    ("ssl", "does the server offer TLS, and is sslrootcert its authority?"),
    ("certificate", "is sslrootcert the authority that signed the server's certificate?"),
    ("refused", "is the server running and listening on this host and port?"),
    ("timed out", "is the host right, and does a firewall let this port through?"),
    ("not known", "is the host name spelled right?"),
    ("no such file", "is the server running, and this its socket file?"),
)
