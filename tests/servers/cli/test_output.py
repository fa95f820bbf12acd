"""How commands end badly: killed, with a reader that left, with no room for what they say."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.databases.mysql.restore import scratch
from covetbackup.core.databases.sqlite.restore.staging import RESTORE_PREFIX, STAGING_PREFIX
from tests.support.command_line import CommandLine, command_line
from tests.support.mariadb import create_database
from tests.support.mariadb_server import MysqlServer

KEY = ("--key-file", "working.key")
AT_ONCE = ("--older-than", "0.0001")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return command_line(tmp_path)


def test_a_sweep_of_a_mariadb_server_drops_what_a_killed_restore_left(
    cli: CommandLine, mariadb_server: MysqlServer, mariadb_database: str
) -> None:
    password = cli.file("password", mariadb_server.password.reveal())
    left = scratch.scratch_name(datetime.now(UTC) - timedelta(hours=1))
    create_database(mariadb_server, left)
    cleanup = ("cleanup", mariadb_server.url(""), "--password-file", password)
    assert cli.json(*cleanup)["restores"] == []  # a day is the least unless said otherwise
    assert cli.json(*cleanup, *AT_ONCE)["restores"] == [left]
    assert mariadb_database in mariadb_server.databases()
    assert left not in mariadb_server.databases()


def test_a_sweep_of_a_folder_removes_dead_scratch_files_and_no_living_ones(
    cli: CommandLine,
) -> None:
    folder = cli.folder / "data"
    folder.mkdir()
    shop = folder / "shop.db"
    dead, alive = folder / f"{RESTORE_PREFIX}dead", folder / f"{RESTORE_PREFIX}alive"
    staged = folder / f"{STAGING_PREFIX}dead"
    staged.mkdir()
    for file in (shop, dead, alive, staged / "staged.sqlite"):
        file.write_bytes(b"")
    past = datetime.now().timestamp() - 3600
    for path in (shop, dead, alive, staged):
        os.utime(path, (past, past))
    with alive.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        swept = cli.json("cleanup", f"sqlite:///{shop}", *AT_ONCE)["restores"]
    assert sorted(swept) == sorted([str(dead), str(staged)])
    assert sorted(folder.iterdir()) == sorted([alive, shop])
    assert cli.json("cleanup", f"sqlite:///{folder}/", *AT_ONCE)["restores"] == [str(alive)]
    answer = cli.json("cleanup", "sqlite:////not/there/at/all", *AT_ONCE, status=2)
    assert answer["error"]["message"] == "/not/there/at is no folder"


@pytest.fixture
def home(cli: CommandLine) -> str:
    """A repository with one backup."""
    with sqlite3.connect(cli.folder / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
    connection.close()
    repository = cli.local_repository()
    cli.run("backup", f"sqlite:///{cli.folder}/shop.db", "--repo", repository, *KEY)
    return repository


def test_a_pipe_that_is_closed_never_prints_a_traceback(cli: CommandLine, home: str) -> None:
    shop, copy = f"sqlite:///{cli.folder}/shop.db", f"sqlite:///{cli.folder}/copy.db"
    for command in (
        ("list", home, "--json"),
        ("show", home, "latest", *KEY),
        ("verify", home, "latest", *KEY),
        ("cat", home, "latest", "main.sqlite", *KEY),
        ("backup", shop, "--repo", home, *KEY),
        ("restore", home, "latest", "--as", copy, *KEY),
        ("cleanup", home),
    ):
        with cli.start(*command) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            said = process.stderr.read().decode()
        assert process.returncode == 141, command
        assert "Traceback" not in said and "BrokenPipe" not in said, said


def test_progress_that_nobody_reads_ends_a_restore_and_leaves_nothing(
    cli: CommandLine, home: str
) -> None:
    folder = cli.folder / "target"
    folder.mkdir()
    with cli.start("restore", home, "latest", "--as", f"sqlite:///{folder}/c.db", *KEY) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stderr.close()
        assert process.stdout.read() == b""
    assert process.returncode == 141
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", [("list",), ("list", "--json")], ids=["text", "json"])
def test_output_without_room_is_one_sentence(
    cli: CommandLine, home: str, command: tuple[str, ...]
) -> None:
    with open("/dev/full", "wb") as full:
        with cli.start(command[0], home, *command[1:], stdout=full) as process:
            said = process.communicate()[1].decode()
    assert process.returncode != 0
    assert said.startswith("error: ")
    assert "no space left on device" in said
    assert "Traceback" not in said
