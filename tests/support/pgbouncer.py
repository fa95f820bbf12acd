"""A private PgBouncer in front of a test server."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.server.connection import PostgresSettings
from tests.support.postgres_server import PostgresServer

_START_SECONDS = 20


@contextmanager
def pooler(server: PostgresServer, mode: str, **options: str) -> Iterator[PostgresSettings]:
    """Settings that reach `server` through a pooler in `mode`; skips where there is none."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer is installed")
    directory = Path(tempfile.mkdtemp(prefix="covet-pgbouncer-"))
    port = _free_port()
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "plain",
        "auth_file": str(directory / "users"),
        "pool_mode": mode,
        "ignore_startup_parameters": "options,extra_float_digits",
        **options,
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (directory / "users").write_text(f'"postgres" "{server.password.reveal()}"\n')
    (directory / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n" + "\n".join(lines)
    )
    account = _account()
    for path in (directory, directory / "users", directory / "ini") if account else ():
        shutil.chown(path, account)
    process = subprocess.Popen(
        [program, "-q", directory / "ini"],
        stderr=subprocess.DEVNULL,
        user=account,
        cwd="/",
    )
    try:
        _wait_for(port, process)
        yield PostgresSettings("127.0.0.1", "postgres", "postgres", port, sslmode="disable")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _account() -> str | None:
    """PgBouncer refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("pgbouncer does not start") from None
            time.sleep(0.05)
