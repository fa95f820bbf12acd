"""Sets the dashboard up, registers a sample shop on SQLite and on PostgreSQL, and serves it.

The sample PostgreSQL server runs as long as the dashboard does; its files stay in the var folder.
Nothing is made twice: the second run starts with what the first one left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.demo.databases import PostgresShop, SqliteShop
from tests.support.postgres_server import PostgresServer, postgres_binaries, server_in

ROOT = Path(__file__).parents[2]
VAR = Path(os.environ.get("COVET_VAR") or ROOT / "var").absolute()
SAMPLE = VAR / "sample"


def main() -> int:
    manage("init")
    SAMPLE.mkdir(mode=0o711, exist_ok=True)
    add_sqlite_shop()
    with postgres_shop():
        return serve()


def add_sqlite_shop() -> None:
    folder = SAMPLE / "sqlite"
    if folder.exists():
        return
    folder.mkdir()
    print("Making the sample shop on SQLite …", flush=True)
    SqliteShop(folder).fill("shop")
    manage("add_server", f"sqlite:///{folder}", "--name", "Sample files")


@contextmanager
def postgres_shop() -> Iterator[None]:
    """The sample PostgreSQL server, where there are programs to run one."""
    installed = postgres_binaries()
    if not installed or not _is_reachable_by_all(SAMPLE):
        print("No sample PostgreSQL server: its programs, or a folder it can use, are missing")
        yield
        return
    folder = SAMPLE / "postgresql"
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    print("Starting the sample PostgreSQL server …", flush=True)
    with server_in(folder, installed[-1]) as server:
        if is_new:
            _add_postgres_shop(server)
        yield


def _add_postgres_shop(server: PostgresServer) -> None:
    PostgresShop(server).fill("shop")
    manage(
        *("add_server", server.url("postgres"), "--name", "Sample PostgreSQL"),
        *("--password-file", str(server.directory / "password")),
    )


def serve() -> int:
    """Run the dashboard until it ends; a signal to us is one to it, and to it alone."""
    process = subprocess.Popen(command("up"), cwd=ROOT, start_new_session=True)

    def pass_on(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    return process.wait()


def manage(*arguments: str) -> None:
    subprocess.run(command(*arguments), cwd=ROOT, check=True)


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def _is_reachable_by_all(folder: Path) -> bool:
    """PostgreSQL does not run as root; the user it then runs as must be able to get there."""
    if os.geteuid() != 0:
        return True
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


if __name__ == "__main__":
    sys.exit(main())
