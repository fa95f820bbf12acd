"""A MariaDB database of more than 500 MB: whole backups and restores, against mariadb-dump's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from covetbackup.core.crypto.keyring import new_keys, write_new_keys
from tests.bench import report
from tests.bench.measure import (
    Run,
    Size,
    alternate,
    new_repository,
    own_job,
    shell_job,
    work_folder,
)
from tests.support.mariadb_server import MysqlServer, mariadb_installed, run_mariadb
from tests.support.words import Words

_DATABASE, _RESTORED = "bench", "bench_restored"
_ROOM = 3 << 30
_TABLES = 4
_BATCH = 5_000
_SETTINGS = "innodb-buffer-pool-size = 1G\ninnodb-log-file-size = 512M\n"


def run(size: Size) -> None:
    if not mariadb_installed():
        report.note("no MariaDB server is installed")
        return
    with work_folder(_ROOM) as folder, _filled_server(size) as server:
        repository = new_repository(folder / "repository")
        key_file = folder / "working.key"
        write_new_keys(new_keys(), key_file, folder / "recovery.key")
        ours = {
            "password": server.password.reveal(),
            "repository": repository,
            "key_file": key_file,
        }
        backup = alternate(
            size.rounds,
            lambda: own_job("back_up", source=server.url(_DATABASE), **ours),
            lambda: _shell_backup(server, folder / "shell"),
        )
        facts = backup.ours.facts
        assert facts is not None
        label = f"MariaDB, dump of {facts['plain_bytes'] / 1e6:.0f} MB"
        report.pair(f"{label}: backup", backup, target="speed >= 1.00")
        report.note(f"writes were blocked for {facts['settings']['locked_ms']} ms; target <= 500")
        restore = alternate(
            1,  # each takes most of a minute, in which the server makes the indexes
            lambda: _own_restore(server, ours | {"label": facts["label"]}),
            lambda: _shell_restore(server, folder / "shell"),
        )
        report.pair(f"{label}: restore", restore, target="speed >= 1.00")


@contextmanager
def _filled_server(size: Size) -> Iterator[MysqlServer]:
    with run_mariadb(_SETTINGS) as server:
        server.execute(None, f"CREATE DATABASE {_DATABASE}")
        for number in range(_TABLES):
            _add_reviews(server, f"reviews_{number}", 50_000 if size.quick else 600_000)
        yield server


def _add_reviews(server: MysqlServer, table: str, count: int) -> None:
    rng = random.Random(f"20260101 {table}")
    words = Words(rng)
    phrases = [words.phrase(8, 40) for _ in range(20_000)]
    with server.connect(_DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, customer_id bigint,"
            " written_at datetime(6), token varchar(16), body text, KEY (customer_id))"
        )
        for first in range(0, count, _BATCH):
            rows = ",".join(
                f"({number},{rng.randrange(60_000)},"
                f"'2026-01-01' + INTERVAL {number * 45} SECOND,"
                f"'{rng.getrandbits(64):x}','{rng.choice(phrases)}')"
                for number in range(first, min(first + _BATCH, count))
            )
            cursor.execute(f"INSERT INTO {table} VALUES {rows}")


def _login(server: MysqlServer) -> list[str]:
    return ["--protocol=TCP", "--host=127.0.0.1", f"--port={server.port}", "--user=root"]


def _environment(server: MysqlServer) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "MYSQL_PWD": server.password.reveal()}


def _shell_backup(server: MysqlServer, output: Path) -> Run:
    return shell_job(
        ["mariadb-dump", *_login(server), "--single-transaction", _DATABASE],
        ["zstd", "-q", "-3", "-T2"],
        output=output,
        env=_environment(server),
    )


def _own_restore(server: MysqlServer, settings: dict[str, object]) -> Run:
    server.execute(None, f"DROP DATABASE IF EXISTS {_RESTORED}")
    return own_job("restore", target=server.url(_RESTORED), jobs=2, **settings)


def _shell_restore(server: MysqlServer, stored: Path) -> Run:
    server.execute(None, f"DROP DATABASE IF EXISTS {_RESTORED}", f"CREATE DATABASE {_RESTORED}")
    return shell_job(
        ["zstd", "-q", "-dc", stored],
        ["mariadb", *_login(server), _RESTORED],
        env=_environment(server),
    )
