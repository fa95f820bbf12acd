"""A private PostgreSQL server for tests, demo and benchmarks. Needs no test package."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.server.connection import PostgresSettings
from covetbackup.core.stream.secret import Secret
from tests.support.ports import free_port

_START_SECONDS = 60
_SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = '256MB'
shared_buffers = '64MB'
max_connections = 60
max_locks_per_transaction = 128
autovacuum = off
log_min_messages = fatal
unix_socket_permissions = 0777
"""
_ACCESS = """
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server whose superuser is "postgres"; TCP and socket both ask for passwords."""

    binaries: Path
    directory: Path
    port: int
    password: Secret

    @property
    def major(self) -> int:
        return _major(self.binaries)

    def settings(self, database: str = "postgres", user: str = "postgres") -> PostgresSettings:
        return PostgresSettings(
            host="127.0.0.1", port=self.port, user=user, database=database, sslmode="disable"
        )

    def url(self, database: str, user: str = "postgres") -> str:
        return (
            f"postgresql://{quote(user, safe='')}@127.0.0.1:{self.port}/"
            f"{quote(database, safe='')}?sslmode=disable"
        )

    def connect(
        self, database: str = "postgres", *, role: PostgresRole | None = None
    ) -> psycopg.Connection[Any]:
        """An autocommit connection, as the superuser unless `role` is given."""
        user, password = ("postgres", self.password) if role is None else (role.name, role.password)
        return psycopg.connect(
            "",
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password.reveal(),
            dbname=database,
            autocommit=True,
        )

    def execute(self, database: str, *statements: str) -> None:
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def create_database(self, name: str, options: str = "") -> str:
        statement = sql.SQL("CREATE DATABASE {} {}").format(
            sql.Identifier(name),
            sql.SQL(options),  # type: ignore[arg-type]
        )
        with self.connect() as connection:
            connection.execute(statement)
        return name

    def databases(self) -> list[str]:
        return [name for (name,) in self.rows("postgres", "SELECT datname FROM pg_database")]

    def tool(self, name: str, *arguments: str) -> str:
        """What a client program of this server prints, run as the superuser."""
        finished = subprocess.run(
            [self.binaries / name, *arguments],
            env={
                "PATH": "/usr/bin:/bin",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": "postgres",
                "PGPASSWORD": self.password.reveal(),
            },
            capture_output=True,
            check=True,
        )
        return finished.stdout.decode(errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class PostgresRole:
    name: str
    password: Secret


def postgres_binaries() -> list[Path]:
    """Directories with a whole PostgreSQL server in them, oldest version first."""
    candidates = list(Path("/usr/lib/postgresql").glob("*/bin"))
    bundle = importlib.util.find_spec("pgserver")
    if bundle is not None and bundle.origin is not None:
        candidates.append(Path(bundle.origin).parent / "pginstall" / "bin")
    return sorted(
        (path for path in candidates if (path / "initdb").exists() and (path / "pg_ctl").exists()),
        key=_major,
    )


def _major(binaries: Path) -> int:
    printed = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, check=True, text=True
    ).stdout
    match = re.search(r" (\d+)", printed)
    assert match is not None
    return int(match[1])


@contextmanager
def run_server(binaries: Path) -> Iterator[PostgresServer]:
    """Start a private server, yield it once, stop it and remove its files."""
    directory = Path(tempfile.mkdtemp(prefix="covet-postgres-"))
    try:
        with server_in(directory, binaries) as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def server_in(
    directory: Path, binaries: Path, *, port: int = 0, password: Secret | None = None
) -> Iterator[PostgresServer]:
    """Run the server whose files are in `directory`, made there the first time; stop it.

    PostgreSQL refuses to run as root, so root starts it as another user. `port` and `password`
    are for the first time (default: any); they stay the same from one run to the next.
    """
    account = _account()
    if account is not None:
        shutil.chown(directory, account, _group_of(account))
        binaries = _reachable(binaries, directory)
    if not (directory / "port").exists():
        _initialise(binaries, directory, account, password or Secret(secrets.token_urlsafe(12)))
        _write(directory / "port", str(port or free_port()), account)
    port = int((directory / "port").read_text())
    password = Secret((directory / "password").read_text())
    settings = f"{_SETTINGS}port = {port}\nunix_socket_directories = '{directory}'\n"
    _write(directory / "data" / "postgresql.auto.conf", settings, account)
    _write(directory / "data" / "pg_hba.conf", _ACCESS, account)
    process = _start(binaries, directory, account)
    try:
        server = PostgresServer(binaries, directory, port, password)
        _wait_until_it_answers(server, process)
        yield server
    finally:
        _stop(process)


def _reachable(binaries: Path, directory: Path) -> Path:
    """`binaries`, or a copy of them when they lie where only root may look.

    Copied is the folder that holds the bundle: its programs find their libraries beside it.
    """
    if all(path.stat().st_mode & 0o001 for path in (binaries, *binaries.parents)):
        return binaries
    package = binaries.parents[1]
    for source in package.parent.glob(f"{package.name}*"):
        if source.is_dir():
            shutil.copytree(source, directory / "programs" / source.name)
    return directory / "programs" / binaries.relative_to(package.parent)


def _account() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _group_of(account: str) -> int:
    return pwd.getpwnam(account).pw_gid


def _as(account: str | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account, "group": _group_of(account), "extra_groups": []}


def _initialise(binaries: Path, directory: Path, account: str | None, password: Secret) -> None:
    _write(directory / "password", password.reveal(), account)
    subprocess.run(
        [
            binaries / "initdb",
            "--no-sync",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
            f"--pwfile={directory / 'password'}",
            directory / "data",
        ],
        check=True,
        capture_output=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        **_as(account),
    )


def _start(binaries: Path, directory: Path, account: str | None) -> subprocess.Popen[bytes]:
    with open(directory / "log", "wb") as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", directory / "data"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            **_as(account),
        )


def _wait_until_it_answers(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((server.directory / "log").read_text()) from None
            time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended, files left whole
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write(path: Path, content: str, account: str | None) -> None:
    path.write_text(content)
    path.chmod(0o600)
    if account is not None:
        shutil.chown(path, account)


def drop_databases(server: PostgresServer, names: set[str]) -> None:
    with server.connect() as connection:
        for name in names:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            connection.execute(statement.format(sql.Identifier(name)))
