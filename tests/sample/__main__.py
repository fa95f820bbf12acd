"""Sets the dashboard up, registers a sample shop on SQLite and on PostgreSQL, and serves it.

The sample PostgreSQL server runs as long as the dashboard does; its files stay in the var folder.
Nothing is made twice: the second run starts with what the first one left.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from covetbackup.core.stream.secret import Secret
from tests.demo.databases import PostgresShop, SqliteShop
from tests.support.postgres_server import PostgresServer, postgres_binaries, server_in

ROOT = Path(__file__).parents[2]
VAR = Path(os.environ.get("COVET_VAR") or ROOT / "var").absolute()
SAMPLE = VAR / "sample"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sample")
    parser.add_argument("--port", type=int, default=8000)
    place = f"127.0.0.1:{parser.parse_args().port}"
    if is_taken(place):
        print(f"something listens at {place} already: is it this dashboard?", file=sys.stderr)
        print("choose another port: PORT=8001 make run", file=sys.stderr)
        return 1
    os.environ.setdefault("COVET_SITE_URL", f"http://{place}")  # else its forms are refused
    print("Setting up the catalog, its keys and the first owner …", flush=True)
    password = set_up()
    SAMPLE.mkdir(mode=0o711, exist_ok=True)
    add_sqlite_shop()
    with postgres_shop():
        print("Starting the web server and the workers …", flush=True)
        return serve(place, password)


def set_up() -> str:
    """Set the catalog up; return the first owner's password, "" if there was an owner already."""
    done = subprocess.run(command("init"), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    found = re.search(r"with the password (\S+)", done.stdout)
    return found[1] if found else ""


def is_taken(place: str) -> bool:
    """Known before minutes are spent on samples."""
    host, _, port = place.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


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
    if not installed:
        print("No sample PostgreSQL server: its programs are not installed")
        yield
        return
    print("Starting the sample PostgreSQL server …", flush=True)
    note = SAMPLE / "postgresql.json"
    known = json.loads(note.read_text()) if note.exists() else {}
    folder = _server_folder(known)
    is_new = not (folder / "data").exists()
    port, password = known.get("port", 0), known.get("password", "")
    secret = Secret(password) if password else None
    with server_in(folder, installed[-1], port=port, password=secret) as server:
        if is_new:
            PostgresShop(server).fill("shop")
        if not known:
            _add_postgres_server(server)
        note.touch(mode=0o600)
        facts = {"port": server.port, "password": server.password.reveal(), "folder": str(folder)}
        note.write_text(json.dumps(facts))
        yield


def _server_folder(known: dict[str, str]) -> Path:
    """Beside the other samples; for root, who must run PostgreSQL as a user that may not look
    into the var folder, a temporary one, made again when it was cleared away."""
    if os.geteuid() != 0:
        folder = SAMPLE / "postgresql"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    folder = Path(known.get("folder", ""))
    return folder if folder.is_dir() and known else Path(tempfile.mkdtemp(prefix="covet-sample-"))


def _add_postgres_server(server: PostgresServer) -> None:
    manage(
        *("add_server", server.url("postgres"), "--name", "Sample PostgreSQL"),
        *("--password-file", str(server.directory / "password")),
    )


def serve(place: str, password: str) -> int:
    """Run the dashboard until it ends; a signal to us is one to it, and to it alone."""
    process = subprocess.Popen(command("up", "--bind", place), cwd=ROOT, start_new_session=True)

    def pass_on(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    while process.poll() is None and not is_taken(place):
        time.sleep(0.1)
    if process.poll() is None:
        welcome(place, password)
    return process.wait()


def welcome(place: str, password: str) -> None:
    """Say where to go on: in a box on a terminal, in lines anywhere else."""
    facts = {
        "Address": f"http://{place}/",
        "User": "owner",
        "Password": password or "the one that the first start printed, or that you chose since",
        "Next": "sign in, choose a database and press Back up now; Ctrl-C stops everything",
    }
    text = "\n".join(f"{name:9} {value}" for name, value in facts.items())
    if sys.stdout.isatty():
        Console(highlight=False).print(
            Panel(Text(text), title="CovetBackup is running", expand=False)
        )
    else:
        print(f"CovetBackup is running\n{text}", flush=True)


def manage(*arguments: str) -> None:
    subprocess.run(command(*arguments), cwd=ROOT, check=True)


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


if __name__ == "__main__":
    sys.exit(main())
