"""A real worker adds rows to a PostgreSQL database, is killed in the midst of it, and does it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import contents
from tests.support.streams import eventually
from tests.web.backups.test_commands_worker import Installation

LOCK = 4711
WAITING = (
    "SELECT client_port FROM pg_stat_activity WHERE query LIKE 'COPY public.item%'"
    " AND wait_event = 'advisory'"
)


def test_a_runner_that_is_killed_has_added_nothing(
    postgres_tidy: PostgresServer, postgres_database: str, tmp_path: Path
) -> None:
    server, name = postgres_tidy, postgres_database
    server.execute(name, "CREATE TABLE item AS SELECT generate_series(1, 500) AS id")
    before = contents(server, name)
    here = Installation(tmp_path / "var")
    password = server.directory / "password"
    here.run("init", "--team", "Shop keepers")
    address = server.url("postgres")
    here.run("add_server", address, "--name", "Main", "--password-file", str(password))
    place = ("--into", f"Main/{name}", "--confirm", name, "--table", "public.item", "--data-only")
    options = (*place, "--no-safety-backup", "--wait", "--quiet")
    with here.worker():
        backup = here.run("backup", f"Main/{name}", "--wait", "--quiet")
        server.execute(name, "TRUNCATE item", "INSERT INTO item VALUES (-1)", *_held_up())
        with ThreadPoolExecutor(1) as waiting, server.connect(name) as holder:
            holder.execute(f"SELECT pg_advisory_lock({LOCK})".encode())
            end = waiting.submit(here.run, "restore", backup["id"], *options)
            kill_runner(server)
            dead = end.result(120)
        assert (dead["job_state"], dead["kept"]) == ("interrupted", "nothing")
        assert server.rows(name, "SELECT id FROM item") == [(-1,)]
        server.execute(name, "DROP TRIGGER held_up ON item", "DELETE FROM item")
        made = here.run("restore", backup["id"], *options)
    assert (made["status"], made["rows"]) == (0, 500)
    assert contents(server, name) == before


def _held_up() -> tuple[str, ...]:
    return (
        "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END$$",
        "CREATE TRIGGER held_up BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION held_up()",
    )


def kill_runner(server: PostgresServer) -> None:
    """Kill the one whose rows the server waits to take."""
    assert eventually(lambda: bool(server.rows("postgres", WAITING)), seconds=60)
    [(port,)] = server.rows("postgres", WAITING)
    [runner] = [one for one in psutil.process_iter() if _is_runner(one, port)]
    os.kill(runner.pid, signal.SIGKILL)


def _is_runner(process: psutil.Process, port: int) -> bool:
    try:
        if not process.name().startswith("run-"):
            return False
        return port in [one.laddr.port for one in process.net_connections("tcp")]
    except psutil.Error:
        return False
