"""A private MariaDB or MySQL server for tests, demo and benchmarks. Needs no test package.

Debian's package also registers a system service; nothing here uses it or needs it running.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from covetbackup.core.stream.secret import Secret
from tests.support.ports import free_port

_START_SECONDS = 60
_ROOT = "root"
_SETTINGS = """
[server]
bind-address = 127.0.0.1
datadir = {directory}/data
socket = {directory}/socket
pid-file = {directory}/pid
log-error = {directory}/log
port = {port}
log-bin = binlog
server-id = 11
innodb-buffer-pool-size = 64M
innodb-flush-log-at-trx-commit = 0
sync-binlog = 0
key-buffer-size = 1M
max-connections = 60
event-scheduler = ON
skip-name-resolve
{more}
"""


@dataclass(frozen=True, slots=True)
class MysqlUser:
    """An account that may log in from anywhere."""

    name: str
    password: Secret


@dataclass(frozen=True, slots=True)
class MysqlServer:
    """A running MariaDB or MySQL server; its "root" has a password and every right."""

    directory: Path
    port: int
    password: Secret

    def url(self, database: str, user: str = _ROOT, scheme: str = "mysql") -> str:
        name = quote(user, safe="")
        return f"{scheme}://{name}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def connect(
        self, database: str | None = None, *, user: MysqlUser | None = None
    ) -> pymysql.Connection[Any]:
        """An autocommit connection, as root unless `user` is given."""
        account = user or MysqlUser(_ROOT, self.password)
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=account.name,
            password=account.password.reveal(),
            database=database,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,  # the driver would read all authorities of this machine: 30 ms
        )

    def execute(self, database: str | None, *statements: str) -> None:
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, database: str | None, query: str) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def databases(self) -> set[str]:
        return {name for (name,) in self.rows(None, "SHOW DATABASES")}


@dataclass(frozen=True, slots=True)
class Product:
    """`server` is the program; `initialise` the command that makes its data directory, of the
    settings' and the data's paths; `first` the statements that give root its password."""

    server: str
    initialise: Callable[[Path, Path], list[str]]
    first: str
    settings: str = ""


# Nobody logs in without a password, and root does so from here.
_MARIADB_FIRST = """
DELETE FROM mysql.global_priv WHERE User = '';
FLUSH PRIVILEGES;
CREATE OR REPLACE USER root@localhost IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;
CREATE OR REPLACE USER root@127.0.0.1 IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;
"""
_MYSQL_FIRST = """
ALTER USER root@localhost IDENTIFIED BY '{password}';
CREATE USER root@127.0.0.1 IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO root@127.0.0.1 WITH GRANT OPTION;
"""


def mariadb(root: Path | None = None) -> Product:
    """The one that is installed, or the one unpacked below `root`."""
    installer = str(root / "usr/bin/mariadb-install-db" if root else _found("mariadb-install-db"))
    base = [] if root is None else [f"--basedir={root / 'usr'}"]
    return Product(
        server=str(root / "usr/sbin/mariadbd" if root else _found("mariadbd")),
        initialise=lambda settings, data: [
            installer,
            f"--defaults-file={settings}",
            *base,
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        first=_MARIADB_FIRST,
        settings="" if root is None else f"basedir = {root / 'usr'}\n",
    )


def mysql(root: Path) -> Product:
    """MySQL's own server, unpacked below `root`."""
    server = str(root / "usr/sbin/mysqld")
    return Product(
        server=server,
        initialise=lambda settings, data: [
            server,
            f"--defaults-file={settings}",
            f"--datadir={data}",
            "--initialize-insecure",
        ],
        first=_MYSQL_FIRST,
        settings=f"secure-file-priv = NULL\nmysqlx = OFF\nbasedir = {root / 'usr'}\n",
    )


def mariadb_installed() -> bool:
    return all(map(_found, ("mariadbd", "mariadb-install-db", "mariadb-dump", "mariadb")))


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def run_mariadb(more: str = "") -> Iterator[MysqlServer]:
    """Start a private MariaDB, yield it once, stop it and remove its files."""
    with run_product(mariadb(), more) as server:
        yield server


@contextmanager
def run_product(product: Product, more: str = "") -> Iterator[MysqlServer]:
    """As `run_mariadb`; `more` are lines of settings."""
    directory = Path(tempfile.mkdtemp(prefix="covet-mysql-"))
    try:
        with server_in(directory, product, more=more) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def server_in(
    directory: Path,
    product: Product,
    *,
    port: int = 0,
    password: Secret | None = None,
    more: str = "",
) -> Iterator[MysqlServer]:
    """Run the server whose files are in `directory`, made there the first time; stop it.

    Root starts it as another user. `port` and `password` are for the first time (default: any).
    """
    account = _account()
    _hand_over(directory, account)
    first_time = not (directory / "port").exists()
    if first_time:
        _write(directory / "password", (password or Secret(secrets.token_hex(8))).reveal(), account)
        _write(directory / "port", str(port or free_port()), account)
    server = MysqlServer(
        directory,
        int((directory / "port").read_text()),
        Secret((directory / "password").read_text()),
    )
    settings = _SETTINGS.format(directory=directory, port=server.port, more=product.settings + more)
    _write(directory / "my.cnf", settings, account)
    if first_time:
        _initialise(directory, product, account)
        first = product.first.format(password=server.password.reveal().replace("'", "''"))
        _write(directory / "init.sql", first, account)
    process = _start(directory, product, account, first_time=first_time)
    try:
        _wait_until_it_answers(server, process)
        yield server
    finally:
        stop(process)


def _account() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "mysql" if "mysql" in names else "nobody"


def _hand_over(path: Path, account: str | None) -> None:
    if account is not None:
        shutil.chown(path, account, pwd.getpwnam(account).pw_gid)


def _as(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def _initialise(directory: Path, product: Product, account: str | None) -> None:
    finished = subprocess.run(
        product.initialise(directory / "my.cnf", directory / "data"),
        capture_output=True,
        cwd="/",
        env=_environment(directory),
        **_as(account),
    )
    if finished.returncode != 0:
        printed = (finished.stdout + finished.stderr).decode(errors="replace")
        raise RuntimeError(printed + _said(directory))


def _said(directory: Path) -> str:
    files = (directory / "log", directory / "output")
    return "\n".join(path.read_text(errors="replace") for path in files if path.exists())


def _environment(directory: Path) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(directory)}


def _start(
    directory: Path, product: Product, account: str | None, *, first_time: bool
) -> subprocess.Popen[bytes]:
    first = [f"--init-file={directory / 'init.sql'}"] if first_time else []
    with open(directory / "output", "wb") as log:
        return subprocess.Popen(
            [product.server, f"--defaults-file={directory / 'my.cnf'}", *first],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(directory),
            **_as(account),
        )


def _wait_until_it_answers(server: MysqlServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except pymysql.err.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(_said(server.directory)) from None
            time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server: its files are thrown away, or whole after a crash, as InnoDB's always are."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write(path: Path, content: str, account: str | None) -> None:
    path.write_text(content)
    path.chmod(0o600)
    _hand_over(path, account)
