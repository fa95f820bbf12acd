"""A PostgreSQL database of more than 500 MB: backups and restores, against the stock programs'."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
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
from tests.bench.proxy import limited_link
from tests.support.postgres_server import (
    PostgresServer,
    drop_databases,
    postgres_binaries,
    run_server,
)
from tests.support.words import Words

_DATABASE, _RESTORED = "bench", "bench_restored"
_ROOM = 4 << 30
_LINK_RATE = 25_000_000
_REVIEWS = """
    CREATE TABLE reviews (
        id bigint PRIMARY KEY, customer_id bigint, written_at timestamptz, token text, body text
    )
"""


def run(size: Size) -> None:
    with work_folder(_ROOM) as folder, _filled_server(size) as server:
        held = server.rows("postgres", f"SELECT pg_database_size('{_DATABASE}')")[0][0]
        report.note(f"PostgreSQL {server.major}, {held / 1e6:.0f} MB")
        key_file = folder / "working.key"
        write_new_keys(new_keys(), key_file, folder / "recovery.key")
        ours = {
            "password": server.password.reveal(),
            "repository": new_repository(folder / "repository"),
            "key_file": key_file,
        }
        label = _backups(size, server, folder, ours)
        _restores(size, server, folder, {**ours, "label": label})


def _backups(size: Size, server: PostgresServer, folder: Path, ours: dict[str, object]) -> object:
    """The label of a backup; what the shell's left is in `folder`, too."""
    one_stream = alternate(
        size.rounds,
        lambda: own_job("back_up", source=server.url(_DATABASE), **ours),
        lambda: _shell_backup(server, folder / "shell"),
    )
    report.pair("  backup", one_stream, target="speed >= 1.00")
    directory = alternate(
        size.rounds,
        lambda: own_job("back_up", source=server.url(_DATABASE), **ours),
        lambda: _shell_directory_backup(server, folder),
    )
    report.pair("  against pg_dump -Fd -j2 and tar", directory, target="speed >= 0.87")
    with limited_link(server.port, _LINK_RATE) as port:
        far = replace(server, port=port)
        link = alternate(
            size.rounds,
            lambda: own_job("back_up", source=far.url(_DATABASE), **ours),
            lambda: _shell_backup(far, folder / "far"),
        )
    report.pair("  at 25 MB/s a connection", link, target="speed >= 2.80, RSS <= 250")
    assert one_stream.ours.facts is not None
    return one_stream.ours.facts["label"]


def _restores(size: Size, server: PostgresServer, folder: Path, ours: dict[str, object]) -> None:
    """Ours also decrypts, compares and analyzes."""
    pipe = alternate(
        size.rounds,
        lambda: _own_restore(server, ours),
        lambda: _shell_restore(server, folder / "shell"),
    )
    report.pair("  restore", pipe, target="speed >= 0.95")
    directory = alternate(
        size.rounds,
        lambda: _own_restore(server, ours),
        lambda: _shell_directory_restore(server, folder / "directory"),
    )
    report.pair("  against pg_restore -j2 from disk", directory, target="speed >= 1.00")


@contextmanager
def _filled_server(size: Size) -> Iterator[PostgresServer]:
    with run_server(postgres_binaries()[-1]) as server:
        server.create_database(_DATABASE)
        scale, reviews = (4, 100_000) if size.quick else (30, 1_000_000)
        subprocess.run(
            [server.binaries / "pgbench", "-i", "-q", "-I", "dtGvp", "-s", str(scale), _DATABASE],
            env=_client_environment(server),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Rows of pgbench alone are mostly blanks and shrink 20 times, as no real table does.
        _add_reviews(server, reviews)
        server.execute(_DATABASE, "VACUUM ANALYZE")
        yield server


def _add_reviews(server: PostgresServer, count: int) -> None:
    rng = random.Random(20260101)
    words = Words(rng)
    phrases = [words.phrase(8, 40) for _ in range(20_000)]
    moment = datetime(2026, 1, 1)
    server.execute(_DATABASE, _REVIEWS)
    with (
        server.connect(_DATABASE) as connection,
        connection.cursor().copy("COPY reviews FROM STDIN") as copy,
    ):
        for number in range(count):
            moment += timedelta(microseconds=rng.randrange(90_000_000))
            customer, token = rng.randrange(60_000), rng.getrandbits(64)
            copy.write(f"{number}\t{customer}\t{moment}\t{token:x}\t{rng.choice(phrases)}\n")


def _client_environment(server: PostgresServer) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.password.reveal(),
    }


def _shell_backup(server: PostgresServer, output: Path) -> Run:
    return shell_job(
        [server.binaries / "pg_dump", "-Fc", "-Z0", _DATABASE],
        ["zstd", "-q", "-3", "-T2"],
        output=output,
        env=_client_environment(server),
    )


def _shell_directory_backup(server: PostgresServer, folder: Path) -> Run:
    """What gives as many streams with stock tools: staged, packed, and here left for a restore."""
    directory = folder / "directory"
    shutil.rmtree(directory, ignore_errors=True)
    dump = [server.binaries / "pg_dump", "-Fd", "-j2", "-Z0", "-f", directory, _DATABASE]
    dumped = shell_job(dump, env=_client_environment(server))
    packed = shell_job(
        ["tar", "-C", folder, "-cf", "-", "directory"],
        ["zstd", "-q", "-3", "-T2"],
        output=folder / "packed",
    )
    return Run(dumped.seconds + packed.seconds, dumped.cpu_seconds + packed.cpu_seconds)


def _own_restore(server: PostgresServer, settings: dict[str, object]) -> Run:
    drop_databases(server, {_RESTORED})
    return own_job("restore", target=server.url(_RESTORED), **settings)


def _shell_restore(server: PostgresServer, stored: Path) -> Run:
    drop_databases(server, {_RESTORED})
    server.create_database(_RESTORED)
    return shell_job(
        ["zstd", "-q", "-dc", stored],
        [server.binaries / "pg_restore", "--exit-on-error", "-d", _RESTORED],
        env=_client_environment(server),
    )


def _shell_directory_restore(server: PostgresServer, directory: Path) -> Run:
    drop_databases(server, {_RESTORED})
    server.create_database(_RESTORED)
    return shell_job(
        [server.binaries / "pg_restore", "--exit-on-error", "-j2", "-d", _RESTORED, directory],
        env=_client_environment(server),
    )
