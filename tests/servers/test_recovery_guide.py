"""The commands of RECOVERY.md do what they say: a stranger in an emergency can only copy them."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import covetbackup.core
from covetbackup.core.crypto.keyring import Keyring, new_keys, write_new_keys
from covetbackup.core.manager import BackupManager, create_repository
from covetbackup.core.repository.repository import BackupRepository
from tests.support.mariadb import MysqlServer
from tests.support.mariadb_backup import contents as mariadb_contents, fill_richly as mariadb_rich
from tests.support.postgres import PostgresServer
from tests.support.postgres_backup import contents, fill_richly

GUIDE = Path(covetbackup.core.__file__).with_name("RECOVERY.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Desk:
    """Where somebody sits with a repository, a recovery key, and nothing of CovetBackup."""

    folder: Path
    repository: BackupRepository
    keyring: Keyring

    def run(self, script: str, **environment: str) -> str:
        path = f"{self.folder / 'bin'}:{environment.pop('PATH', '')}:/usr/bin:/bin"
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.folder,
            env={"PATH": path, "LC_ALL": "C.UTF-8", **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    working = tmp_path / "working.key"
    write_new_keys(new_keys(), working, tmp_path / "recovery.key")
    (tmp_path / "repository").mkdir()
    repository = create_repository(f"file://{tmp_path / 'repository'}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o700)
    shutil.copy(tmp_path / "repository" / "covet_open.py", tmp_path)
    return Desk(tmp_path, repository, Keyring.load([working]))


def commands(section: int, *, label: str = "") -> list[str]:
    """The blocks of commands in a section of the guide."""
    text = GUIDE.split(f"\n## {section}. ")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    return [block.replace("LABEL", label) for block in blocks]


def test_every_repository_holds_the_guide_and_the_reader(desk: Desk) -> None:
    assert (desk.folder / "repository" / "RECOVERY.md").read_text(encoding="utf-8") == GUIDE


def test_a_sqlite_database_comes_back_by_hand(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.folder / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders AS SELECT 1 AS id, 'tea' AS item")
    manager = BackupManager(desk.repository, desk.keyring)
    label = str(manager.create_backup(f"sqlite:///{desk.folder / 'shop.db'}").manifest.label)
    [listing] = commands(3)
    assert label in desk.run(listing)
    [restore] = commands(6, label=label)
    assert desk.run(restore) == "ok\n"
    with closing(sqlite3.connect(desk.folder / "new.sqlite")) as connection:
        assert connection.execute("SELECT * FROM orders").fetchall() == [(1, "tea")]


@pytest.mark.parametrize("way", ["by a file", "by a pipe", "to an older server"])
def test_a_postgresql_database_comes_back_by_hand(
    desk: Desk, postgres_tidy: PostgresServer, postgres_database: str, way: str
) -> None:
    fill_richly(postgres_tidy, postgres_database)
    manager = BackupManager(desk.repository, desk.keyring)
    url = postgres_tidy.url(postgres_database)
    label = str(manager.create_backup(url, password=postgres_tidy.password).manifest.label)
    fetch, restore, older, pipe = commands(4, label=label)
    environment = environment_of(postgres_tidy)
    assert "both are whole" in desk.run(fetch)
    globals_line, create, fill = restore.splitlines(keepends=True)
    desk.run(globals_line, **environment)
    if way == "by a file":
        desk.run(create + fill, **environment)
    else:
        fill = pipe if way == "by a pipe" else older
        assert "restored" in desk.run(create + fill, **environment)
    assert contents(postgres_tidy, "newdb") == contents(postgres_tidy, postgres_database)


def test_members_are_not_called_whole_after_one_that_is_not(desk: Desk) -> None:
    fetch, _ = commands(5, label="shop/x")
    (desk.folder / "bin" / "python3").write_text('#!/bin/sh\ntest "$3" = schema.sql\n')
    assert desk.run(f"{fetch.rstrip()} || echo stopped") == "stopped\n"
    assert not (desk.folder / "data-0002.sql").exists()


def test_a_mariadb_database_comes_back_by_hand(
    desk: Desk, mariadb_tidy: MysqlServer, mariadb_database: str
) -> None:
    mariadb_rich(mariadb_tidy, mariadb_database)
    # What the guide says to look for in schema.sql, and a view that names the old database.
    mariadb_tidy.execute(mariadb_database, "DROP TABLE numbered", "DROP VIEW ghost_view")
    login = desk.folder / "login"
    login.write_text(
        f"[client]\nhost=127.0.0.1\nport={mariadb_tidy.port}\nprotocol=TCP\nuser=root\n"
        f"password={mariadb_tidy.password.reveal()}\n"
    )
    program = desk.folder / "bin" / "mariadb"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/mariadb --defaults-file={login} "$@"\n')
    program.chmod(0o700)
    made = BackupManager(desk.repository, desk.keyring).create_backup(
        mariadb_tidy.url(mariadb_database), password=mariadb_tidy.password, streams=2
    )
    fetch, restore = commands(5, label=str(made.manifest.label))
    assert "all are whole" in desk.run(fetch)
    assert desk.run(restore).count("-- Dump completed") == 5
    original = mariadb_contents(mariadb_tidy, mariadb_database)
    assert mariadb_contents(mariadb_tidy, "newdb") == original


@pytest.mark.parametrize("codec", ["gzip", "zstd", "bzip2", "lzma"])
def test_stock_tools_read_what_is_not_encrypted(desk: Desk, codec: str) -> None:
    with closing(sqlite3.connect(desk.folder / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE noise AS SELECT randomblob(30000)")
    manager = BackupManager(desk.repository, desk.keyring)
    made = manager.create_backup(
        f"sqlite:///{desk.folder / 'shop.db'}", codec=codec, cipher="none", volume_size=8192
    ).manifest
    assert len(made.member("main.sqlite").volumes) > 3
    block = commands(7)[0]
    zstd, gzip = (line.split("#")[0] for line in block.splitlines())
    by_codec = {
        "zstd": zstd,
        "gzip": gzip,
        "bzip2": gzip.replace(".gz", ".bz2").replace("gzip", "bzip2"),
        "lzma": gzip.replace(".gz", ".xz").replace("gzip", "xz"),
    }
    script = by_codec[codec].replace("dump.pgc", "main.sqlite").replace("> main", "> ../main")
    folder = desk.folder / "repository" / made.label.folder
    desk.run(f"cd {folder} && {script.replace('../main', str(desk.folder / 'main'))}")
    [(name, plain)] = made.opened.plain.items()
    assert (desk.folder / name).stat().st_size == plain.size
    assert plain.sha256 in desk.run(f"sha256sum {name}")


def environment_of(server: PostgresServer) -> dict[str, str]:
    settings = server.settings("postgres")
    return {
        "PATH": str(server.binaries),
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": settings.user,
        "PGPASSWORD": server.password.reveal(),
    }


def test_stock_tools_join_the_parts_of_a_dump(
    desk: Desk, postgres_tidy: PostgresServer, postgres_database: str
) -> None:
    fill_richly(postgres_tidy, postgres_database)
    manager = BackupManager(desk.repository, desk.keyring)
    made = manager.create_backup(
        postgres_tidy.url(postgres_database),
        password=postgres_tidy.password,
        cipher="none",
        volume_size=8192,
    ).manifest
    block = commands(7)[1].split("#")[0].replace("> dump.pgc", f"> {desk.folder}/dump.pgc")
    desk.run(f"cd {desk.folder / 'repository' / made.label.folder} && {block}")
    desk.run("createdb --template=template0 joined", **environment_of(postgres_tidy))
    desk.run("pg_restore -e -j2 -d joined dump.pgc", **environment_of(postgres_tidy))
    assert contents(postgres_tidy, "joined") == contents(postgres_tidy, postgres_database)
