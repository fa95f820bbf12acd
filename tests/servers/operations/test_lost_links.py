"""The link to a server loses every packet, without a word: noticed in time, said, and nothing kept.

Quickly, with waits of seconds, and among the slow tests with those of the product.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from covetbackup.core.databases.mysql.restore import scratch as mysql_scratch
from covetbackup.core.databases.postgresql.restore import scratch as postgresql_scratch
from covetbackup.core.stream.secret import Secret
from tests.support.command_line import CommandLine, command_line, s3_credentials, s3_url
from tests.support.lossy_link import LossyLink, lossy_link
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import settings_for
from tests.support.postgres import PostgresServer
from tests.support.s3 import S3Endpoint
from tests.support.streams import eventually

SHOP = "shop_behind_a_link"
COPY = "copy_behind_a_link"
NOTICED = {"seconds": 30, "product": 120}
BYTES = 20_000_000
"""Of 55 MB that each of them has to send or to take."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server with the database `SHOP`. `scratch` names what restores left, `cleanup` takes it."""

    port: int
    password: Secret
    url: Callable[[str], str]
    databases: Callable[[], Any]
    scratch: str
    cleanup: Callable[[datetime], list[str]]

    def left(self) -> list[str]:
        return [name for name in self.databases() if name.startswith(self.scratch)]

    def is_swept(self) -> bool:
        """Nothing is left, at the latest after this sweep."""
        self.cleanup(datetime.now(UTC) + timedelta(minutes=1))
        return not self.left()


@pytest.fixture(params=["postgresql", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    make = {"postgresql": postgresql_place, "mariadb": mariadb_place}[request.param]
    fixture = {"postgresql": "postgres_tidy", "mariadb": "mariadb_tidy"}[request.param]
    return make(request.getfixturevalue(fixture))


def postgresql_place(server: PostgresServer) -> Place:
    rows = "SELECT g, repeat(md5(g::text), 30) AS fat FROM generate_series(1, 30000) g"
    statements = (f"CREATE TABLE one AS {rows}", "CREATE TABLE two AS TABLE one")
    server.execute(server.create_database(SHOP), *statements)
    return Place(
        server.port, server.password, server.url, server.databases, postgresql_scratch.PREFIX,
        lambda now: postgresql_scratch.cleanup_scratch(server.settings(), now, server.password),
    )  # fmt: skip


def mariadb_place(server: MysqlServer) -> Place:
    server.execute(None, f"CREATE DATABASE {SHOP}")
    rows = "SELECT seq AS g, repeat(md5(seq), 30) AS fat FROM seq_1_to_30000"
    server.execute(SHOP, f"CREATE TABLE one AS {rows}", "CREATE TABLE two AS SELECT * FROM one")
    settings = settings_for(server, SHOP)
    return Place(
        server.port, server.password, server.url, server.databases, mysql_scratch.PREFIX,
        lambda now: mysql_scratch.cleanup_scratch(settings, now, server.password),
    )  # fmt: skip


@pytest.fixture(params=["seconds", pytest.param("product", marks=pytest.mark.slow)])
def pace(request: pytest.FixtureRequest) -> str:
    """Whether the waits are those of the product."""
    return str(request.param)


@pytest.fixture
def near(tmp_path: Path) -> CommandLine:
    """On this side of the link, which reaches servers as everybody does."""
    return command_line(tmp_path)


@dataclass(frozen=True, slots=True)
class Far:
    """A command line that reaches one server, over the link alone."""

    line: CommandLine
    link: LossyLink
    seconds: float

    def cut_off(self, *arguments: str, after: int = BYTES) -> str:
        """What a command says that must fail, and in time, when the link is lost on the way."""
        self.link.cut_after(after)
        with self.line.start(*arguments) as process:
            while not self.link.is_cut():
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            return ended(process, self.seconds)


def ended(process: subprocess.Popen[bytes], seconds: float) -> str:
    began = time.monotonic()
    try:
        _, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"not noticed within {seconds} s") from None
    print(f"noticed after {time.monotonic() - began:.0f} s: {err.decode().splitlines()[-2:]}")
    assert process.returncode not in (0, None)
    return err.decode()


@pytest.fixture
def far(place: Place, near: CommandLine, pace: str) -> Iterator[Far]:
    with lossy_link(place.port) as link:
        yield Far(line_through(near, link, pace), link, NOTICED[pace])


def line_through(near: CommandLine, link: LossyLink, pace: str) -> CommandLine:
    module = {"seconds": "tests.support.short_timeouts", "product": "covetbackup.core"}[pace]
    return replace(near, prefix=link.prefix, module=module)


def backup(place: Place, near: CommandLine, *options: str) -> list[str]:
    password = near.file("password", place.password.reveal())
    access = ["--password-file", password, "--key-file", "working.key"]
    return ["backup", place.url(SHOP), *access, "--streams", "2", *options]


def stored(repository: str) -> list[Path]:
    return list(Path(repository.removeprefix("file://")).glob("b/**/*"))


@pytest.mark.timeout(600)
def test_a_backup_notices_and_keeps_nothing(place: Place, near: CommandLine, far: Far) -> None:
    repository = near.local_repository()
    command = backup(place, near, "--repo", repository)
    said = far.cut_off(*command)
    assert "connection" in said.lower()
    assert stored(repository) == []
    far.link.heal()
    far.line.run(*command)


@pytest.mark.slow
def test_one_stream_of_pg_dump_notices(postgres_tidy: PostgresServer, near: CommandLine) -> None:
    place = postgresql_place(postgres_tidy)
    repository = near.local_repository()
    with lossy_link(place.port) as link:
        far = Far(line_through(near, link, "seconds"), link, NOTICED["seconds"])
        said = far.cut_off(*backup(place, near, "--repo", repository, "--method", "logical"))
    assert "connection" in said.lower()
    assert stored(repository) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_restore_notices_and_what_it_leaves_goes_with_the_next_sweep(
    place: Place, near: CommandLine, far: Far
) -> None:
    repository = near.local_repository()
    near.run(*backup(place, near, "--repo", repository))
    password, to = str(near.folder / "password"), place.url(COPY)
    access = ["--password-file", password, "--key-file", "working.key", "--jobs", "2"]
    said = far.cut_off("restore", repository, "latest", "--as", to, *access)
    assert "connection" in said.lower()
    assert COPY not in place.databases()
    assert place.left() != []
    far.link.heal()
    assert eventually(place.is_swept, seconds=90)
    far.line.run("restore", repository, "latest", "--as", to, *access)
    assert COPY in place.databases()


def test_an_addition_notices_and_leaves_nothing(
    postgres_tidy: PostgresServer, near: CommandLine
) -> None:
    """Though the rows that it sent may wait there for as long as the server likes."""
    place = postgresql_place(postgres_tidy)
    repository = near.local_repository()
    near.run(*backup(place, near, "--repo", repository))
    postgres_tidy.execute(SHOP, "TRUNCATE one")
    access = ["--password-file", str(near.folder / "password"), "--key-file", "working.key"]
    wish = ["--into", place.url(SHOP), "--table", "public.one", "--data-only"]
    with lossy_link(place.port) as link:
        far = Far(line_through(near, link, "seconds"), link, NOTICED["seconds"])
        said = far.cut_off("restore", repository, "latest", *wish, *access)
    assert "does not answer" in said
    assert postgres_tidy.rows(SHOP, "SELECT count(*) FROM one") == [(0,)]


_SLOW_THERE = """
CREATE FUNCTION slow(number int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_database() <> 'shop_behind_a_link' THEN PERFORM pg_sleep(100); END IF;
    RETURN number;
END $$
"""


@pytest.mark.slow
def test_a_restore_notices_while_pg_restore_waits_for_an_index(
    postgres_tidy: PostgresServer, near: CommandLine
) -> None:
    """Nothing is on its way then, in neither direction."""
    place = postgresql_place(postgres_tidy)
    for name in ("one", "two"):
        postgres_tidy.execute(SHOP, f"DROP TABLE {name}", f"CREATE TABLE {name} AS SELECT 1 AS g")
    indexes = [f"CREATE INDEX ON {name} (slow(g))" for name in ("one", "two")]
    postgres_tidy.execute(SHOP, _SLOW_THERE, *indexes)
    repository = near.local_repository()
    near.run(*backup(place, near, "--repo", repository))
    access = ["--password-file", str(near.folder / "password"), "--key-file", "working.key"]
    access += ["--jobs", "3"]  # so that pg_restore has processes of its own
    query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND state = 'active'"
    with lossy_link(place.port) as link:
        line = line_through(near, link, "seconds")
        with line.start(
            "restore", repository, "latest", "--as", place.url(COPY), *access
        ) as running:
            assert eventually(lambda: bool(postgres_tidy.rows("postgres", query)), seconds=60)
            link.cut()
            said = ended(running, NOTICED["seconds"])
    assert "connection" in said.lower()
    assert COPY not in place.databases()
    assert eventually(place.is_swept, seconds=90)


_RESTS_THERE = """
CREATE FUNCTION rests(number int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF number = 15000 AND current_database() <> 'shop_behind_a_link' THEN
        PERFORM pg_sleep(12);
    END IF;
    RETURN number;
END $$
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["parallel", "logical"])
def test_a_server_that_rests_in_the_midst_of_rows_is_not_lost(
    postgres_tidy: PostgresServer, near: CommandLine, method: str
) -> None:
    """For three times as long as one may be silent that is not there any more."""
    place = postgresql_place(postgres_tidy)
    rests = "ALTER TABLE one ADD CHECK (rests(g) > 0)"
    postgres_tidy.execute(SHOP, _RESTS_THERE, rests)
    repository = near.local_repository()
    near.run(*backup(place, near, "--repo", repository, "--method", method))
    access = ["--password-file", str(near.folder / "password"), "--key-file", "working.key"]
    impatient = replace(near, module="tests.support.short_timeouts")
    impatient.run("restore", repository, "latest", "--as", place.url(COPY), *access)
    assert postgres_tidy.rows(COPY, "SELECT count(*) FROM one") == [(30000,)]


@pytest.mark.slow
def test_a_backup_that_rests_is_not_ended_by_the_server(
    postgres_tidy: PostgresServer, near: CommandLine
) -> None:
    """As while a storage does not take anything."""
    place = postgresql_place(postgres_tidy)
    repository = near.local_repository()
    # Not pg_dump's, which is only asked for the contents and writes it in small letters.
    ours = "query LIKE 'COPY%TO STDOUT%' AND state = 'active'"
    query = f"SELECT 1 FROM pg_stat_activity WHERE {ours} AND pid <> pg_backend_pid()"
    impatient = replace(near, module="tests.support.short_timeouts")
    command = backup(place, near, "--repo", repository, "--codec", "lzma:9")
    process = impatient.start(*command)
    try:
        assert eventually(lambda: bool(postgres_tidy.rows("postgres", query)), seconds=60)
        process.send_signal(signal.SIGSTOP)
        time.sleep(12)  # three times as long as it takes to give up somebody who is gone
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err.decode()


@pytest.mark.slow
def test_a_store_that_falls_silent_fails_the_backup(
    near: CommandLine, rclone_s3: S3Endpoint
) -> None:
    with sqlite3.connect(near.folder / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE one AS SELECT randomblob(30000000) AS fat")
    shop.close()
    near.file("s3", s3_credentials(rclone_s3))
    store = [s3_url(rclone_s3), "--s3-credentials", "s3"]
    near.run("init", *store)
    command = ["backup", f"sqlite:///{near.folder}/shop.sqlite", "--repo", *store]
    with lossy_link(int(rclone_s3.url.rpartition(":")[2])) as link:
        far = Far(line_through(near, link, "seconds"), link, NOTICED["seconds"])
        said = far.cut_off(*command, "--key-file", "working.key", "--codec", "none")
        link.heal()
        far.line.run("cleanup", *store, "--older-than", "0.0001")
    assert "is the endpoint right and reachable?" in said
    assert [key for key in rclone_s3.keys() if key.startswith("backups/b/")] == []
    assert rclone_s3.unfinished_uploads() == []
