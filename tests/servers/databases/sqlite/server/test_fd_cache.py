"""A backup takes no lock away from others in its process, and leaves none behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.databases.sqlite.restore.staging import cleanup_scratch
from covetbackup.core.errors import ServerBusy
from covetbackup.core.progress import Silent
from tests.support.paths import ROOT
from tests.support.sqlite import assert_sound_bank, create_bank, read_image


@pytest.mark.parametrize("method", ["wal", "backup", "vacuum"])
def test_a_backup_keeps_the_read_marks_of_its_own_process(tmp_path: Path, method: str) -> None:
    bank = create_bank(tmp_path / "bank.db")
    with closing(sqlite3.connect(bank, isolation_level=None)) as reader:
        reader.execute("UPDATE account SET balance = 5")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM account").fetchone()
        read_image(SqliteEngine(bank, staging=tmp_path), tmp_path / "image", method=method)
        # A refusal counts as 1. Were the mark lost, the log would be emptied under the reader.
        assert _elsewhere(bank, "PRAGMA wal_checkpoint(TRUNCATE)").startswith("1|")


@pytest.mark.parametrize("method", ["backup", "vacuum", ""])
def test_a_backup_keeps_the_file_locks_of_its_own_process(tmp_path: Path, method: str) -> None:
    bank = create_bank(tmp_path / "bank.db", journal="delete")
    with closing(sqlite3.connect(bank, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM account").fetchone()
        read_image(SqliteEngine(bank, staging=tmp_path), tmp_path / "image", method=method)
        assert "locked" in _elsewhere(bank, "BEGIN EXCLUSIVE")


def test_copying_keeps_the_locks_of_its_own_process(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", journal="delete")
    with closing(sqlite3.connect(bank, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM account").fetchone()
        read_image(SqliteEngine(bank), tmp_path / "image", method="copy")
        assert "locked" in _elsewhere(bank, "BEGIN EXCLUSIVE")


def test_two_backups_of_one_database_in_one_process_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=2000)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("UPDATE ballast SET data = randomblob(2000) WHERE id < 9")
        with (
            SqliteEngine(bank).backup(BackupOptions("wal"), Silent()) as session,
            next(session.groups())[0].source as chunks,
            (tmp_path / "slow").open("wb") as file,
        ):
            file.write(next(chunks))
            other = threading.Thread(
                target=read_image, args=(SqliteEngine(bank), tmp_path / "quick")
            )
            other.start()
            other.join()
            assert _elsewhere(bank, "PRAGMA wal_checkpoint(TRUNCATE)").startswith("1|")
            file.writelines(chunks)
            outcome = session.finish()
    assert_sound_bank(tmp_path / "slow", outcome)
    assert_sound_bank(tmp_path / "quick", outcome)


def test_leaving_early_ends_the_transaction(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=2000)
    for method in ("wal", "backup", "vacuum", "copy"):
        with (
            pytest.raises(KeyError),
            SqliteEngine(bank, staging=tmp_path).backup(BackupOptions(method), Silent()) as session,
        ):
            with next(session.groups())[0].source as chunks:
                next(chunks)
            raise KeyError
        assert _elsewhere(bank, "BEGIN EXCLUSIVE") == ""
    assert os.listdir(tmp_path) == ["bank.db"]


@pytest.mark.parametrize("method", ["wal", "backup", "vacuum", "copy"])
def test_kill_9_leaves_no_lock_and_nothing_that_a_sweep_would_not_take(
    tmp_path: Path, method: str
) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=2000)
    (tmp_path / "staging").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _READER, bank, method, tmp_path / "staging"],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "reading\n"
        assert cleanup_scratch(tmp_path / "staging", _soon()) == []
        child.send_signal(signal.SIGKILL)
    assert _elsewhere(bank, "BEGIN EXCLUSIVE") == ""
    assert _elsewhere(bank, "UPDATE account SET balance = 2") == ""
    assert not [path for path in (tmp_path / "staging").rglob("*") if path.is_file()]
    cleanup_scratch(tmp_path / "staging", _soon())
    assert os.listdir(tmp_path / "staging") == []


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_copy_is_refused_while_somebody_writes(tmp_path: Path, journal: str) -> None:
    bank = create_bank(tmp_path / "bank.db", journal=journal)
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServerBusy, match="is being written") as caught:
            read_image(SqliteEngine(bank), tmp_path / "image", method="copy")
    assert "'wal' or 'backup'" in caught.value.hint


def test_a_copy_is_refused_while_the_log_holds_what_the_file_lacks(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db")
    with closing(sqlite3.connect(bank, isolation_level=None)) as writer:
        writer.execute("UPDATE account SET balance = 3")
        with pytest.raises(ServerBusy, match="in its log that the file lacks"):
            read_image(SqliteEngine(bank), tmp_path / "image", method="copy")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        read_image(SqliteEngine(bank), tmp_path / "2", method="copy")


def test_no_writer_gets_in_while_a_file_is_copied(tmp_path: Path) -> None:
    bank = create_bank(tmp_path / "bank.db", rows=2000)
    with SqliteEngine(bank).backup(BackupOptions("copy"), Silent()) as session:
        with next(session.groups())[0].source as chunks:
            next(chunks)
            assert "locked" in _elsewhere(bank, "BEGIN IMMEDIATE")
            assert _elsewhere(bank, "SELECT count(*) FROM account") == "100"


_READER = """
import sys, time
from pathlib import Path
from covetbackup.core.databases.base import BackupOptions
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.progress import Silent
bank, method, staging = sys.argv[1:]
engine = SqliteEngine(Path(bank), staging=Path(staging))
with engine.backup(BackupOptions(method), Silent()) as session:
    with next(session.groups())[0].source as chunks:
        next(chunks)
        print("reading", flush=True)
        time.sleep(60)
"""

_STATEMENT = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
try:
    print("\\n".join("|".join(map(str, row)) for row in db.execute(sys.argv[2])), end="")
except sqlite3.OperationalError as error:
    print(error, end="")
"""


def _elsewhere(bank: Path, statement: str) -> str:
    """What `statement` gives in another process, which waits for no lock."""
    command = [sys.executable, "-c", _STATEMENT, bank, statement]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)
