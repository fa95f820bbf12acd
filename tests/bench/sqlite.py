"""A SQLite database that another process writes to all the time, and memory by size."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
from tests.support.words import Words

_MB = 10**6
_BATCH_ROWS = 5000
_WRITES_PER_SECOND = 100


def run(size: Size) -> None:
    held = (100 if size.quick else 1000) * _MB
    with work_folder(3 * held) as folder:
        database = folder / "shop.sqlite"
        _fill(database, held)
        settings = _settings(folder)
        with _writer(database):
            result = alternate(
                size.rounds,
                lambda: own_job("back_up", source=f"sqlite:///{database}", **settings),
                lambda: _shell_backup(database),
            )
        report.pair(
            f"SQLite, {held // _MB} MB, {_WRITES_PER_SECOND} writes/s",
            result,
            target="speed >= 1.00",
        )


def memory(size: Size) -> None:
    """Peak memory of a backup by size of the database."""
    for megabytes in (20, 100) if size.quick else (100, 1000, *([5000] if size.huge else [])):
        with work_folder(2 * megabytes * _MB) as folder:
            database = folder / "shop.sqlite"
            _fill(database, megabytes * _MB)
            settings = _settings(folder)
            done = own_job("back_up", source=f"sqlite:///{database}", **settings)
            report.note(
                f"SQLite, {megabytes} MB: peak {done.peak_mib:.0f} MiB in {done.seconds:.1f} s"
            )


def _settings(folder: Path) -> dict[str, object]:
    key_file = folder / "working.key"
    write_new_keys(new_keys(), key_file, folder / "recovery.key")
    repository = new_repository(folder / "repository")
    return {"password": "", "repository": repository, "key_file": key_file}


def _fill(path: Path, size: int) -> None:
    rng = random.Random(20260101)
    words = Words(rng)
    phrases = [words.phrase(8, 40) for _ in range(20_000)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE lines (id INTEGER PRIMARY KEY, customer INTEGER, cents INTEGER,"
            " token BLOB, body TEXT)"
        )
        connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER)")
        connection.execute("INSERT INTO accounts VALUES (1, 1000000), (2, 1000000)")
        while path.stat().st_size < size:
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO lines (customer, cents, token, body) VALUES (?, ?, ?, ?)",
                (
                    (rng.randrange(60_000), rng.randrange(90_000), rng.randbytes(12), text)
                    for text in rng.choices(phrases, k=_BATCH_ROWS)
                ),
            )
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


@contextmanager
def _writer(path: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.writer", path, str(_WRITES_PER_SECOND)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # its first transaction is done
        try:
            yield
        finally:
            process.terminate()


def _shell_backup(path: Path) -> Run:
    """The copy is taken in one transaction. Without it `.backup` begins anew after each write of
    another process, and with this writer it never ended."""
    copy, output = path.with_name("copy.sqlite"), path.with_name("copy.zst")
    read = "BEGIN; SELECT count(*) FROM accounts;"
    copied = shell_job(["sqlite3", path, read, f".backup {copy}"])
    packed = shell_job(["zstd", "-q", "-3", "-T2", "-c", copy], output=output)
    copy.unlink()
    return Run(copied.seconds + packed.seconds, copied.cpu_seconds + packed.cpu_seconds)
