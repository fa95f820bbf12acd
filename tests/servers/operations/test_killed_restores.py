"""`kill -9` of a restore from parts: what it started ends, what it made is swept, and the name is
free."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.restore.scratch import PREFIX
from tests.support.command_line import CommandLine, command_line
from tests.support.postgres import PostgresServer
from tests.support.processes import descendants, is_running
from tests.support.slow_restore import BRAKE, SLOW, is_standing
from tests.support.streams import eventually

SHOP = "shop_to_restore"
COPY = "shop_restored"

_STAGES = {
    "COPY": "CREATE TABLE one (g int CHECK (slow(g) > 0))",
    "CREATE INDEX": "CREATE TABLE one (g int); CREATE INDEX ON one (slow(g))",
}
_SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'covetbackup%'"


@pytest.fixture
def near(tmp_path: Path) -> CommandLine:
    return command_line(tmp_path)


@pytest.mark.parametrize("stage", list(_STAGES))
def test_a_killed_restore_leaves_nothing_alive_and_the_next_one_succeeds(
    postgres_tidy: PostgresServer, near: CommandLine, stage: str
) -> None:
    server = postgres_tidy
    rows = "INSERT INTO one SELECT generate_series(1, 10)"
    server.execute(server.create_database(SHOP), SLOW, _STAGES[stage], rows)
    server.execute(SHOP, "CREATE TABLE two AS TABLE one", "CREATE INDEX ON two (g)")
    repository = near.local_repository()
    password = near.file("password", server.password.reveal())
    access = ["--password-file", password, "--key-file", "working.key"]
    near.run("backup", server.url(SHOP), "--repo", repository, *access)
    restore = ["restore", repository, "latest", "--as", server.url(COPY), "--jobs", "3", *access]

    server.create_database(BRAKE)
    with near.start(*restore) as process:
        assert eventually(lambda: is_standing(server, stage), seconds=60)
        started = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert eventually(lambda: not any(map(is_running, started)), seconds=20), started
    assert COPY not in server.databases()
    cleanup = ["cleanup", server.url(""), "--older-than", "0.0001", *access[:2]]
    assert eventually(lambda: near.json(*cleanup)["restores"], seconds=20)
    assert [name for name in server.databases() if name.startswith(PREFIX)] == []
    assert eventually(lambda: server.rows("postgres", _SESSIONS) == [], seconds=20)

    server.execute("postgres", f"DROP DATABASE {BRAKE}")
    near.run(*restore)
    assert server.rows(COPY, "SELECT count(*) FROM one") == [(10,)]
