"""SQLite databases to back up, a writer in another process, and what a restored image holds."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSummary,
    MemberRange,
)
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.progress import Progress, Silent

ACCOUNTS = 100
TOTAL = ACCOUNTS * 1000


def create_bank(
    path: Path, *, journal: str = "wal", page_size: int = 4096, rows: int = 200
) -> Path:
    """Accounts whose balances always sum to `TOTAL`, a transfer log, and `rows` rows of ballast."""
    with closing(sqlite3.connect(path, isolation_level=None)) as bank:
        bank.execute("PRAGMA synchronous=OFF")
        bank.execute(f"PRAGMA page_size={page_size}")
        bank.execute(f"PRAGMA journal_mode={journal}")
        bank.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER)")
        bank.execute("CREATE TABLE transfer (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b, amount)")
        bank.execute("CREATE TABLE ballast (id INTEGER PRIMARY KEY, data)")
        bank.execute("BEGIN")
        bank.executemany("INSERT INTO account VALUES (?, 1000)", ((n,) for n in range(ACCOUNTS)))
        bank.executemany("INSERT INTO ballast (data) VALUES (randomblob(?))", [(2000,)] * rows)
        bank.execute("COMMIT")
    return path


def read_image(
    engine: SqliteEngine, target: Path, *, method: str = "", progress: Progress | None = None
) -> BackupSummary:
    """Back up and write the member's bytes to `target`, without repository or restore session."""
    with engine.backup(BackupOptions(method), progress or Silent()) as session:
        for (member,) in session.groups():
            with member.source as chunks, target.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
        return session.finish()


def restore_image(image: Path, target: Path) -> Inventory:
    """Send the bytes of `image` through a restore session to `target`."""
    engine = SqliteEngine(target)
    with engine.restore(RestoreRequest(), Inventory(), Silent()) as session:
        sink = session.sink(MemberRange("main.sqlite"), Silent())
        sink.write(image.read_bytes())
        sink.commit()
        inventory = session.inventory()
        session.commit()
    return inventory


def assert_sound_bank(image: Path, outcome: BackupSummary) -> int:
    """The image is whole, no transfer is cut in half, the inventory agrees; number of transfers."""
    with closing(sqlite3.connect(f"file:{image}?mode=ro&immutable=1", uri=True)) as bank:
        assert bank.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert bank.execute("SELECT sum(balance) FROM account").fetchone() == (TOTAL,)
        transfers = bank.execute("SELECT count(*) FROM transfer").fetchone()[0]
        moved = bank.execute("SELECT sum(balance - 1000) FROM account WHERE id = 0").fetchone()[0]
        sent = "SELECT coalesce(sum(CASE WHEN b = 0 THEN amount ELSE -amount END), 0)"
        expected = bank.execute(f"{sent} FROM transfer WHERE a = 0 OR b = 0").fetchone()[0]
        assert moved == expected
    rows = {table.name: table.rows for table in outcome.inventory.tables if table.exact}
    assert rows["transfer"] == transfers
    return int(transfers)


class Writer:
    """The process behind `transferring`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.transfers = 0
        self.worst_seconds = 0.0

    def stop(self) -> None:
        """End it politely; an error in the writer fails the test."""
        self._process.send_signal(signal.SIGTERM)
        out, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0
        count, worst = out.split()
        self.transfers, self.worst_seconds = int(count), float(worst)


@contextmanager
def transferring(path: Path, *, per_second: int, checkpoint: str = "auto") -> Iterator[Writer]:
    """Money moves between accounts of `path` in another process until the block is left.

    `checkpoint`: "auto" after 1000 pages, "often" after 20, or "restart" / "truncate", which
    also asks for such a checkpoint after every 25 transfers, and goes on if it is refused.
    """
    script = Path(__file__).with_name("sqlite_writer.py")
    command = [sys.executable, "-I", script, str(path), str(per_second), checkpoint]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    writer = Writer(process)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield writer
        writer.stop()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
